#include "text/jinja_parser.h"

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "text/jinja_expressions.h"
#include "text/jinja_lexer.h"

namespace duan::text::jinja {
namespace {

using StatementPtr = std::unique_ptr<Statement>;

class StatementParser {
 public:
  StatementParser(std::vector<Token> tokens, const std::string& where, const TemplateLimits& limits)
      : in_(std::move(tokens), where, limits) {}

  Template run() {
    Template result;
    result.body = body("the template", {}, nullptr);
    result.names = std::move(in_.names);
    result.where = in_.where;
    return result;
  }

  int line() const { return in_.current().line; }

 private:
  // Statements up to one of the tags `ends` (whose name goes to `found` and which is eaten but for its end), or up to
  // the end of the template if there are none.
  Body body(const std::string& owner, std::initializer_list<std::string_view> ends, std::string* found) {
    const ExpressionParser::Nesting nesting(in_);
    const int opened = line();
    Body result;
    for (;;) {
      switch (in_.current().type) {
        case TokenType::End:
          if (ends.size() == 0) return result;
          in_.fail_at(opened, fmt::format("{} has no '{}'", owner, *(ends.end() - 1)));
        case TokenType::Data: {
          StatementPtr data = make(Statement::Type::Data);
          data->text = in_.next().text;
          result.push_back(std::move(data));
          break;
        }
        case TokenType::VariableBegin: {
          StatementPtr print = make(Statement::Type::Print);
          in_.next();
          print->expressions.push_back(in_.tuple(true));
          if (in_.current().type != TokenType::VariableEnd) {
            in_.fail(fmt::format("expected '}}}}', found {}", describe(in_.current())));
          }
          in_.next();
          result.push_back(std::move(print));
          break;
        }
        case TokenType::BlockBegin: {
          in_.next();
          const Token tag = in_.current();
          if (tag.type != TokenType::Name) in_.fail(fmt::format("expected the name of a tag, found {}", describe(tag)));
          if (std::find(ends.begin(), ends.end(), tag.text) != ends.end()) {
            in_.next();
            *found = tag.text;
            return result;
          }
          result.push_back(statement(tag, owner));
          break;
        }
        default:
          in_.fail(fmt::format("unexpected {}", describe(in_.current())));
      }
    }
  }

  // A body that ends with {% <end> %}; break and continue of a loop outside cannot stand in it.
  Body closed_body(const std::string& owner, std::string_view end) {
    const int loops = loops_;
    loops_ = 0;
    std::string found;
    Body result = body(owner, {end}, &found);
    in_.expect_end_of_tag();
    loops_ = loops;
    return result;
  }

  StatementPtr make(Statement::Type type) const {
    auto statement = std::make_unique<Statement>();
    statement->type = type;
    statement->line = line();
    return statement;
  }

  StatementPtr statement(const Token& tag, const std::string& owner) {
    const std::string& name = tag.text;
    if (name == "if") return if_statement();
    if (name == "for") return for_statement();
    if (name == "set") return set_statement();
    if (name == "macro") return macro_statement();
    if (name == "call") return call_statement();
    if (name == "with") return with_statement();
    if (name == "filter") {
      StatementPtr result = make(Statement::Type::FilterBlock);
      in_.next();
      result->expressions.push_back(in_.filter_chain());
      in_.expect_end_of_tag();
      result->bodies.push_back(closed_body("'filter'", "endfilter"));
      return result;
    }
    if (name == "generation") {
      StatementPtr result = make(Statement::Type::Scope);
      in_.next();
      in_.expect_end_of_tag();
      result->bodies.push_back(closed_body("'generation'", "endgeneration"));
      return result;
    }
    if (name == "print") {
      StatementPtr result = make(Statement::Type::Print);
      do {
        in_.next();  // "print" or a comma
        result->expressions.push_back(in_.expression());
      } while (in_.at_operator(","));
      in_.expect_end_of_tag();
      return result;
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) in_.fail(fmt::format("'{}' outside of a loop", name));
      StatementPtr result = make(name == "break" ? Statement::Type::Break : Statement::Type::Continue);
      in_.next();
      in_.expect_end_of_tag();
      return result;
    }
    if (name.starts_with("end") || name == "else" || name == "elif") {
      in_.fail(fmt::format("tag '{}' does not fit: it stands in {}", printable(name, 40), owner));
    }
    in_.fail(fmt::format("tag '{}' is not supported", printable(name, 40)));
  }

  StatementPtr if_statement() {
    StatementPtr result = make(Statement::Type::If);
    std::string found = "if";
    in_.next();
    while (found == "if" || found == "elif") {
      result->expressions.push_back(in_.tuple(false));
      in_.expect_end_of_tag();
      result->bodies.push_back(body("'if'", {"elif", "else", "endif"}, &found));
    }
    if (found == "else") {
      in_.expect_end_of_tag();
      result->bodies.push_back(body("'if'", {"endif"}, &found));
    }
    in_.expect_end_of_tag();
    return result;
  }

  static bool assigns_loop(const Target& target) {
    return target.type == Target::Type::Tuple ? std::any_of(target.parts.begin(), target.parts.end(), assigns_loop)
                                              : target.name == kNameLoop;
  }

  StatementPtr for_statement() {
    StatementPtr result = make(Statement::Type::For);
    in_.next();
    result->targets.push_back(in_.target(false));
    if (assigns_loop(result->targets[0])) in_.fail("'loop' cannot be the variable of a loop");
    if (!in_.skip_name("in")) in_.fail(fmt::format("expected 'in', found {}", describe(in_.current())));
    result->expressions.push_back(in_.tuple(false, "recursive"));
    result->expressions.push_back(in_.skip_name("if") ? in_.expression() : nullptr);
    if (in_.at_name("recursive")) in_.fail("recursive loops are not supported");
    in_.expect_end_of_tag();
    ++loops_;
    std::string found;
    result->bodies.push_back(body("'for'", {"else", "endfor"}, &found));
    --loops_;
    if (found == "else") {
      in_.expect_end_of_tag();
      result->bodies.push_back(body("'for'", {"endfor"}, &found));
    }
    in_.expect_end_of_tag();
    return result;
  }

  StatementPtr set_statement() {
    StatementPtr result = make(Statement::Type::Set);
    in_.next();
    result->targets.push_back(in_.target(true));
    if (in_.skip_operator("=")) {
      result->expressions.push_back(in_.tuple(true));
      in_.expect_end_of_tag();
      return result;
    }
    result->type = Statement::Type::SetBlock;
    result->expressions.push_back(in_.skip_operator("|") ? in_.filter_chain() : nullptr);
    in_.expect_end_of_tag();
    result->bodies.push_back(closed_body("'set'", "endset"));
    return result;
  }

  // "(a, b=1)" and the body up to `end`.
  void signature(MacroDefinition& macro) {
    in_.expect_operator("(");
    while (!in_.at_operator(")")) {
      if (!macro.parameters.empty()) {
        in_.expect_operator(",");
        if (in_.at_operator(")")) break;
      }
      if (macro.parameters.size() == 255) in_.fail("more than 255 parameters");
      Parameter parameter;
      parameter.text = in_.expect_name();
      parameter.name = in_.variable(parameter.text);
      for (const Parameter& known : macro.parameters) {
        if (known.name == parameter.name)
          in_.fail(fmt::format("parameter '{}' is given twice", printable(parameter.text, 40)));
      }
      if (in_.skip_operator("=")) {
        parameter.fallback = in_.expression();
      } else if (!macro.parameters.empty() && macro.parameters.back().fallback) {
        in_.fail("a parameter without default follows one with a default");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    in_.next();
  }

  StatementPtr macro_statement() {
    StatementPtr result = make(Statement::Type::Macro);
    in_.next();
    result->macro = std::make_unique<MacroDefinition>();
    result->macro->name = in_.expect_name();
    result->targets.emplace_back();
    result->targets[0].name = in_.variable(result->macro->name);
    in_.macros.push_back(result->macro.get());
    signature(*result->macro);
    in_.expect_end_of_tag();
    result->macro->body = closed_body("'macro'", "endmacro");
    in_.macros.pop_back();
    return result;
  }

  StatementPtr call_statement() {
    StatementPtr result = make(Statement::Type::CallBlock);
    in_.next();
    result->macro = std::make_unique<MacroDefinition>();
    result->macro->name = "caller";
    in_.macros.push_back(result->macro.get());
    if (in_.at_operator("(")) signature(*result->macro);
    in_.macros.pop_back();
    result->expressions.push_back(in_.call_only());
    in_.expect_end_of_tag();
    in_.macros.push_back(result->macro.get());
    result->macro->body = closed_body("'call'", "endcall");
    in_.macros.pop_back();
    return result;
  }

  StatementPtr with_statement() {
    StatementPtr result = make(Statement::Type::With);
    in_.next();
    while (in_.current().type != TokenType::BlockEnd) {
      if (!result->targets.empty()) in_.expect_operator(",");
      result->targets.push_back(in_.target(false));
      in_.expect_operator("=");
      result->expressions.push_back(in_.expression());
    }
    in_.expect_end_of_tag();
    std::string found;
    result->bodies.push_back(body("'with'", {"endwith"}, &found));
    in_.expect_end_of_tag();
    return result;
  }

  ExpressionParser in_;
  int loops_ = 0;  // that surround the current statement and that break may leave
};

}  // namespace

Template parse_template(std::string_view source, const std::string& where, const TemplateLimits& limits) {
  if (source.size() > limits.source_bytes) {
    throw Error(fmt::format("the template has {} bytes; at most {} are allowed", source.size(), limits.source_bytes),
                where);
  }
  StatementParser parser(tokenize(source, where), where, limits);
  try {
    return parser.run();
  } catch (const Error& error) {
    throw error.at(fmt::format("{}:{}", where, parser.line()));
  }
}

}  // namespace duan::text::jinja
