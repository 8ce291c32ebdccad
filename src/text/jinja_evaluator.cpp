#include "text/jinja_evaluator.h"

#include <algorithm>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_loop.h"
#include "text/jinja_operators.h"

namespace duan::text::jinja {
namespace {

enum class Flow { Normal, Break, Continue };

// Variables of a loop, macro or block; those of the template itself lie in Evaluator::root_.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}
  std::shared_ptr<Scope> parent;  // null: the template's own
  std::vector<std::pair<NameId, Value>> variables;
};

struct Macro : Object {
  Macro(Meter* counter, const MacroDefinition& source, std::shared_ptr<Scope> defined_in)
      : Object(counter, 128), definition(source), scope(std::move(defined_in)) {}
  const MacroDefinition& definition;
  std::shared_ptr<Scope> scope;  // where it was defined
};

class Evaluator {
 public:
  Evaluator(const Template& source, const Context& context, const TemplateLimits& limits)
      : meter_(limits), source_(source), root_(source.names.size()) {
    for (int id = 0; id < kGlobalFunctions; ++id) set_global(kGlobalNames[id], Value::function(id));
    for (const auto& [name, value] : context) set_global(name, value);
  }

  // What can refer to itself is emptied, or it would never be freed. As all of it is still held here, no chain of
  // values is freed by recursion.
  ~Evaluator() {
    scope_ = nullptr;
    for (const auto& scope : captured_) scope->variables.clear();
    for (const auto& space : namespaces_) space->attributes.clear();
  }
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  std::string run() {
    std::string out;
    out_ = &out;
    try {
      run(source_.body);
    } catch (const Error& error) {
      throw error.at(fmt::format("{}:{}", source_.where, line_));
    }
    return out;
  }

 private:
  class Frame {  // one level of recursion while it lives
   public:
    explicit Frame(Evaluator& evaluator) : evaluator_(evaluator) {
      if (++evaluator_.recursion_ > evaluator_.meter_.limits.recursion) {
        --evaluator_.recursion_;
        throw Error("the template recurses too deep");
      }
    }
    ~Frame() { --evaluator_.recursion_; }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    Evaluator& evaluator_;
  };

  void set_global(std::string_view name, const Value& value) {
    const auto found = std::find(source_.names.begin(), source_.names.end(), name);
    if (found != source_.names.end()) root_[static_cast<size_t>(found - source_.names.begin())] = value;
  }

  const std::string& name_of(NameId id) const { return source_.names[static_cast<size_t>(id)]; }

  // --- variables ---------------------------------------------------------------------------------------------------

  Value lookup(NameId name) {
    for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
      const auto& variables = scope->variables;
      meter_.step(variables.size() / 16);
      for (const auto& [known, value] : variables) {
        if (known == name) return value;
      }
    }
    return root_[static_cast<size_t>(name)];
  }

  void assign(NameId name, Value value) {
    if (scope_ == nullptr) {
      root_[static_cast<size_t>(name)] = std::move(value);
      return;
    }
    meter_.step(scope_->variables.size() / 16);
    for (auto& [known, old] : scope_->variables) {
      if (known == name) {
        old = std::move(value);
        return;
      }
    }
    scope_->variables.emplace_back(name, std::move(value));
  }

  void assign(const Target& target, Value value) {
    switch (target.type) {
      case Target::Type::Name:
        assign(target.name, std::move(value));
        return;
      case Target::Type::Attribute: {
        const Value space = lookup(target.name);
        if (!space.is(Kind::Namespace)) {
          throw Error(fmt::format("'{}' is a {}; only attributes of a namespace can be assigned", name_of(target.name),
                                  type_name(space)));
        }
        set_attribute(*space.as<Namespace>(), target.attribute, std::move(value));
        return;
      }
      case Target::Type::Tuple: {
        const std::shared_ptr<const Items> items = iterate(value, meter_);
        if (items->values.size() != target.parts.size()) {
          throw Error(
              fmt::format("{} values cannot be unpacked into {} variables", items->values.size(), target.parts.size()));
        }
        for (size_t i = 0; i < target.parts.size(); ++i) assign(target.parts[i], items->values[i]);
      }
    }
  }

  // Namespaces live until the end, and so does what their attributes are charged.
  void set_attribute(Namespace& space, const std::string& name, Value value) {
    meter_.step(1 + space.attributes.size() / 16);
    if (name.starts_with('_')) throw Error("attributes of a namespace must not start with _");
    for (auto& [known, old] : space.attributes) {
      if (known == name) {
        old = std::move(value);
        return;
      }
    }
    meter_.charge(96 + name.size());
    space.attributes.emplace_back(name, std::move(value));
  }

  // --- output ------------------------------------------------------------------------------------------------------

  void append(const std::string& text) {
    buffered_ += text.size();
    meter_.limit_text(buffered_);
    meter_.copying(text.size());
    *out_ += text;
  }

  void print(const Value& value) {
    if (value.is(Kind::Text)) {
      append(value.str());
    } else {
      append(to_str(value, meter_));
    }
  }

  // What `body` prints, in a scope of its own below `parent`.
  std::string captured(const Body& body, std::shared_ptr<Scope> scope) {
    std::string text;
    std::string* const outer_out = std::exchange(out_, &text);
    std::shared_ptr<Scope> outer_scope = std::exchange(scope_, std::move(scope));
    run(body);
    scope_ = std::move(outer_scope);
    out_ = outer_out;
    buffered_ -= text.size();
    return text;
  }

  // --- statements --------------------------------------------------------------------------------------------------

  Flow run(const Body& body) {
    const Frame frame(*this);
    for (const auto& statement : body) {
      const Flow flow = run(*statement);
      if (flow != Flow::Normal) return flow;
    }
    return Flow::Normal;
  }

  Flow run_in_scope(const Body& body) {
    std::shared_ptr<Scope> outer = scope_;
    scope_ = std::make_shared<Scope>(outer);
    const Flow flow = run(body);
    scope_ = std::move(outer);
    return flow;
  }

  Flow run(const Statement& statement) {
    meter_.step();
    line_ = statement.line;
    switch (statement.type) {
      case Statement::Type::Data:
        append(statement.text);
        return Flow::Normal;
      case Statement::Type::Print:
        for (const ExpressionPtr& expression : statement.expressions) print(evaluate(*expression));
        return Flow::Normal;
      case Statement::Type::If:
        for (size_t i = 0; i < statement.expressions.size(); ++i) {
          if (truth(evaluate(*statement.expressions[i]))) return run(statement.bodies[i]);
        }
        return statement.bodies.size() > statement.expressions.size() ? run(statement.bodies.back()) : Flow::Normal;
      case Statement::Type::For:
        return run_for(statement);
      case Statement::Type::Set:
        assign(statement.targets[0], evaluate(*statement.expressions[0]));
        return Flow::Normal;
      case Statement::Type::SetBlock: {
        Value text = make_text(&meter_, captured(statement.bodies[0], std::make_shared<Scope>(scope_)));
        if (statement.expressions[0]) text = filtered(*statement.expressions[0], text);
        assign(statement.targets[0], std::move(text));
        return Flow::Normal;
      }
      case Statement::Type::Macro:
        assign(statement.targets[0], make_macro(*statement.macro));
        return Flow::Normal;
      case Statement::Type::CallBlock: {
        const Value caller = make_macro(*statement.macro);
        print(call(*statement.expressions[0], &caller));
        return Flow::Normal;
      }
      case Statement::Type::FilterBlock: {
        const Value text = make_text(&meter_, captured(statement.bodies[0], std::make_shared<Scope>(scope_)));
        print(filtered(*statement.expressions[0], text));
        return Flow::Normal;
      }
      case Statement::Type::With: {
        std::vector<Value> values;
        for (const ExpressionPtr& expression : statement.expressions) values.push_back(evaluate(*expression));
        std::shared_ptr<Scope> outer = scope_;
        scope_ = std::make_shared<Scope>(outer);
        for (size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
        const Flow flow = run(statement.bodies[0]);
        scope_ = std::move(outer);
        return flow;
      }
      case Statement::Type::Scope:
        return run_in_scope(statement.bodies[0]);
      case Statement::Type::Break:
        return Flow::Break;
      case Statement::Type::Continue:
        return Flow::Continue;
    }
    return Flow::Normal;
  }

  Flow run_for(const Statement& statement) {
    const std::shared_ptr<const Items> items = iterate(evaluate(*statement.expressions[0]), meter_);
    const std::shared_ptr<Scope> outer = scope_;
    std::function<bool(const Value&)> filter;
    if (const Expression* test = statement.expressions[1].get()) {
      filter = [this, test, &statement, outer](const Value& item) {
        std::shared_ptr<Scope> before = std::exchange(scope_, std::make_shared<Scope>(outer));
        assign(statement.targets[0], item);
        const bool keep = truth(evaluate(*test));
        scope_ = std::move(before);
        return keep;
      };
    }
    const auto state = std::make_shared<LoopState>(&meter_, items, std::move(filter));
    const Value loop = Value::object(Kind::Loop, state);
    bool completed = false;
    for (size_t i = 0; state->has(i); ++i) {
      meter_.step();
      state->index = i;
      scope_ = std::make_shared<Scope>(outer);
      scope_->variables.emplace_back(kNameLoop, loop);
      assign(statement.targets[0], state->at(i));
      const Flow flow = run(statement.bodies[0]);
      if (flow == Flow::Break) break;
      // As in Jinja, an iteration left by continue does not keep the else from running.
      completed |= flow == Flow::Normal;
    }
    state->filter = nullptr;
    scope_ = outer;
    if (!completed && statement.bodies.size() > 1) return run_in_scope(statement.bodies[1]);
    return Flow::Normal;
  }

  // --- macros ------------------------------------------------------------------------------------------------------

  Value make_macro(const MacroDefinition& definition) {
    if (scope_ != nullptr && (captured_.empty() || captured_.back() != scope_)) {
      meter_.charge(256);  // the scope now lives until the end
      captured_.push_back(scope_);
    }
    return Value::object(Kind::Macro, std::make_shared<Macro>(&meter_, definition, scope_));
  }

  Value call_macro(const Macro& macro, Arguments& arguments) {
    const MacroDefinition& definition = macro.definition;
    if (++macro_depth_ > meter_.limits.depth)
      throw Error(fmt::format("macros call each other deeper than {} levels", meter_.limits.depth));
    auto scope = std::make_shared<Scope>(macro.scope);
    std::shared_ptr<Scope> outer = std::exchange(scope_, scope);
    const Value* caller = nullptr;
    for (size_t i = 0; i < definition.parameters.size(); ++i) {
      const Parameter& parameter = definition.parameters[i];
      const Value* given = arguments.get(i, parameter.text);
      if (parameter.name == kNameCaller) caller = given;
      assign(parameter.name, given != nullptr                ? *given
                             : parameter.fallback != nullptr ? evaluate(*parameter.fallback)
                                                             : Value());
    }
    if (definition.uses_caller && caller == nullptr) {
      caller = arguments.get(SIZE_MAX, "caller");
      assign(kNameCaller, caller != nullptr ? *caller : Value());
    }
    scope_ = std::move(outer);
    try {
      arguments.finish(definition.parameters.size());
    } catch (const Error& error) {
      throw Error(fmt::format("macro '{}': {}", definition.name, error.message()));
    }
    const int line = line_;
    Value result = make_text(&meter_, captured(definition.body, std::move(scope)));
    line_ = line;
    --macro_depth_;
    return result;
  }

  // --- expressions -------------------------------------------------------------------------------------------------

  static bool marked_safe(const Value& value) { return value.is(Kind::Text) && value.text().markup; }

  // What an expression is called in messages.
  std::string described(const Expression& expression) const {
    if (expression.type == Expression::Type::Name) return fmt::format("'{}'", name_of(expression.name));
    if (expression.type == Expression::Type::Attribute) return fmt::format("'{}'", expression.text);
    return "a value";
  }

  Value evaluate_object(const Expression& expression, std::string_view what) {
    Value object = evaluate(expression);
    if (object.undefined()) {
      throw Error(fmt::format("{} is undefined, so it has no {}", described(expression), printable(what, 60)));
    }
    return object;
  }

  Value bound(const ExpressionPtr& expression) { return expression ? evaluate(*expression) : Value::none(); }

  Value filtered(const Expression& expression, const Value& input) {
    const Value* const before = std::exchange(block_input_, &input);
    Value result = evaluate(expression);
    block_input_ = before;
    return result;
  }

  Value evaluate(const Expression& e) {
    using Type = Expression::Type;
    meter_.step();
    if (e.type == Type::Constant) return e.constant;
    if (e.type == Type::Name) return lookup(e.name);
    const Frame frame(*this);
    line_ = e.line;
    switch (e.type) {
      case Type::List:
      case Type::Tuple: {
        std::vector<Value> values;
        values.reserve(e.children.size());
        for (const ExpressionPtr& child : e.children) values.push_back(evaluate(*child));
        return make_list(&meter_, std::move(values), e.type == Type::List ? Kind::List : Kind::Tuple);
      }
      case Type::Dict:
        return dict(e);
      case Type::Attribute: {
        const Value object = evaluate_object(*e.children[0], fmt::format("attribute '{}'", e.text));
        return get_attribute(object, e.text, meter_);
      }
      case Type::Subscript: {
        const Value object = evaluate_object(*e.children[0], "items");
        return get_item(object, evaluate(*e.children[1]), meter_);
      }
      case Type::Slice: {
        const Value object = evaluate_object(*e.children[0], "items");
        const Value start = bound(e.children[1]), stop = bound(e.children[2]), step = bound(e.children[3]);
        return slice(object, start, stop, step, meter_);
      }
      case Type::Call:
        return call(e, nullptr);
      case Type::Filter: {
        const Value input = e.children[0] ? evaluate(*e.children[0]) : *block_input_;
        Arguments given = arguments(e);
        return named("filter", e, [&] { return call_filter(e.builtin, input, std::move(given), meter_); });
      }
      case Type::Test: {
        const Value input = evaluate(*e.children[0]);
        Arguments given = arguments(e);
        return named("test", e, [&] { return Value::boolean(call_test(e.builtin, input, std::move(given), meter_)); });
      }
      case Type::Not:
        return Value::boolean(!truth(evaluate(*e.children[0])));
      case Type::Negative:
        return negative(evaluate(*e.children[0]));
      case Type::Positive:
        return positive(evaluate(*e.children[0]));
      case Type::Binary: {
        const Value left = evaluate(*e.children[0]);
        return binary(e.operators[0], left, evaluate(*e.children[1]), meter_);
      }
      case Type::And:
      case Type::Or: {
        for (size_t i = 0; i + 1 < e.children.size(); ++i) {
          Value value = evaluate(*e.children[i]);
          if (truth(value) == (e.type == Type::Or)) return value;
        }
        return evaluate(*e.children.back());
      }
      case Type::Concat:
        return concat(e);
      case Type::Compare: {
        Value left = evaluate(*e.children[0]);
        for (size_t i = 0; i < e.operators.size(); ++i) {
          Value right = evaluate(*e.children[i + 1]);
          if (!compare(e.operators[i], left, right, meter_)) return Value::boolean(false);
          left = std::move(right);
        }
        return Value::boolean(true);
      }
      case Type::Conditional:
        if (truth(evaluate(*e.children[1]))) return evaluate(*e.children[0]);
        return e.children[2] ? evaluate(*e.children[2]) : Value();
      default:
        return Value();
    }
  }

  Value concat(const Expression& e) {
    std::string text;
    for (const ExpressionPtr& child : e.children) {
      const Value part = evaluate(*child);
      if (marked_safe(part)) throw Error("'~' on a text marked safe is not supported");
      text += to_str(part, meter_);
      meter_.limit_text(text.size());
    }
    return make_text(&meter_, std::move(text));
  }

  Value dict(const Expression& e) {
    Dict::Entries entries;
    entries.reserve(e.children.size() / 2);
    for (size_t i = 0; i < e.children.size(); i += 2) {
      const Value key = evaluate(*e.children[i]);
      Value value = evaluate(*e.children[i + 1]);
      if (!hashable(key)) throw Error(fmt::format("a {} cannot be a key", type_name(key)));
      meter_.step(entries.size() / 16);
      const auto known = std::find_if(entries.begin(), entries.end(),
                                      [&](const auto& entry) { return equal(entry.first, key, meter_); });
      if (known != entries.end()) {
        known->second = std::move(value);
      } else {
        entries.emplace_back(key, std::move(value));
      }
    }
    return make_dict(&meter_, std::move(entries));
  }

  Arguments arguments(const Expression& e) {
    Arguments result;
    result.positional.reserve(e.children.size() - 1);
    for (size_t i = 1; i < e.children.size(); ++i) result.positional.push_back(evaluate(*e.children[i]));
    for (const Keyword& keyword : e.keywords) result.named.emplace_back(keyword.name, evaluate(*keyword.value));
    line_ = e.line;
    return result;
  }

  // An error of a filter, test or method, with its name.
  template <typename Action>
  Value named(std::string_view kind, const Expression& e, Action action) {
    try {
      return action();
    } catch (const Error& error) {
      if (!error.where().empty()) throw;
      throw Error(fmt::format("{} '{}': {}", kind, e.text, error.message()), fmt::format("{}:{}", source_.where, line_),
                  error.hint());
    }
  }

  Value call(const Expression& e, const Value* caller) {
    const Frame frame(*this);
    const Expression& callee = *e.children[0];
    Value self, function;
    bool method = false;
    if (callee.type == Expression::Type::Attribute) {
      self = evaluate_object(*callee.children[0], fmt::format("method '{}'", callee.text));
      method = method_state(self, callee.text) == MethodState::Supported;
      if (!method) function = get_attribute(self, callee.text, meter_);
    } else {
      function = evaluate(callee);
    }
    Arguments given = arguments(e);
    if (caller != nullptr) given.named.emplace_back("caller", *caller);
    if (method) {
      return named("method", callee, [&] { return call_method(self, callee.text, std::move(given), meter_); });
    }
    switch (function.kind()) {
      case Kind::Macro:
        return call_macro(*function.as<Macro>(), given);
      case Kind::Function:
        return function.integer() == kNamespace
                   ? make_namespace(given)
                   : call_global(static_cast<int>(function.integer()), std::move(given), meter_);
      case Kind::Method: {
        const std::shared_ptr<Method> bound_method = function.as<Method>();
        return call_method(bound_method->self, bound_method->name, std::move(given), meter_);
      }
      case Kind::Undefined:
        throw Error(fmt::format("{} is undefined and cannot be called", described(callee)));
      default:
        throw Error(fmt::format("{} is a {} and cannot be called", described(callee), type_name(function)));
    }
  }

  Value make_namespace(Arguments& given) {
    auto space = std::make_shared<Namespace>(&meter_);
    namespaces_.push_back(space);
    if (given.positional.size() > 1) throw Error("namespace takes one dict and arguments with names");
    if (!given.positional.empty()) {
      if (!given.positional[0].is(Kind::Dict))
        throw Error(fmt::format("namespace needs a dict, not {}", type_name(given.positional[0])));
      for (const auto& [key, value] : given.positional[0].dict().entries) {
        if (!key.is(Kind::Text)) throw Error("the names of a namespace must be str");
        set_attribute(*space, key.str(), value);
      }
    }
    for (const auto& [name, value] : given.named) set_attribute(*space, name, value);
    return Value::object(Kind::Namespace, std::move(space));
  }

  Meter meter_;  // first: values point to it
  const Template& source_;
  std::vector<Value> root_;  // by NameId
  std::shared_ptr<Scope> scope_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<Scope>> captured_;  // scopes macros refer to
  std::string* out_ = nullptr;
  size_t buffered_ = 0;  // bytes in all open outputs
  const Value* block_input_ = nullptr;
  int recursion_ = 0, macro_depth_ = 0;
  int line_ = 1;
};

}  // namespace

std::string evaluate(const Template& source, const Context& context, const TemplateLimits& limits) {
  return Evaluator(source, context, limits).run();
}

}  // namespace duan::text::jinja
