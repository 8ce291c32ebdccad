#include "text/jinja_expressions.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_text.h"

namespace duan::text::jinja {
namespace {

constexpr size_t kMaxArguments = 255;

std::optional<Operator> comparison_operator(const Token& token) {
  if (token.is(TokenType::Name, "in")) return Operator::In;
  if (token.type != TokenType::Operator) return std::nullopt;
  if (token.text == "==") return Operator::Equal;
  if (token.text == "!=") return Operator::NotEqual;
  if (token.text == "<") return Operator::Less;
  if (token.text == "<=") return Operator::LessEqual;
  if (token.text == ">") return Operator::Greater;
  if (token.text == ">=") return Operator::GreaterEqual;
  return std::nullopt;
}

std::optional<Operator> one_of(const Token& token,
                               std::initializer_list<std::pair<std::string_view, Operator>> choices) {
  if (token.type != TokenType::Operator) return std::nullopt;
  for (const auto& [text, op] : choices) {
    if (token.text == text) return op;
  }
  return std::nullopt;
}

}  // namespace

ExpressionParser::ExpressionParser(std::vector<Token> tokens, std::string source, const TemplateLimits& limits)
    : where(std::move(source)), tokens_(std::move(tokens)), limits_(limits) {
  variable("loop");    // kNameLoop
  variable("caller");  // kNameCaller
}

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (++parser.depth_ > parser.limits_.depth) {
    --parser.depth_;
    parser.fail(fmt::format("nested deeper than {} levels", parser.limits_.depth));
  }
}

void ExpressionParser::fail_at(int line, const std::string& what) const {
  throw Error(what, fmt::format("{}:{}", where, line));
}

void ExpressionParser::fail(const std::string& what) const { fail_at(current().line, what); }

bool ExpressionParser::skip_operator(std::string_view op) {
  if (!at_operator(op)) return false;
  next();
  return true;
}

bool ExpressionParser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

void ExpressionParser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) fail(fmt::format("expected '{}', found {}", op, describe(current())));
}

std::string ExpressionParser::expect_name() {
  if (current().type != TokenType::Name) fail(fmt::format("expected a name, found {}", describe(current())));
  return next().text;
}

void ExpressionParser::expect_end_of_tag() {
  if (current().type != TokenType::BlockEnd) fail(fmt::format("expected '%}}', found {}", describe(current())));
  next();
}

NameId ExpressionParser::variable(std::string_view name) {
  const auto [entry, is_new] = name_ids_.try_emplace(std::string(name), static_cast<NameId>(names.size()));
  if (is_new) names.emplace_back(name);
  return entry->second;
}

ExpressionPtr ExpressionParser::checked(ExpressionPtr node) const {
  int height = 0;
  for (const ExpressionPtr& child : node->children) height = std::max(height, child ? child->height : 0);
  for (const Keyword& keyword : node->keywords) height = std::max(height, keyword.value->height);
  node->height = height + 1;
  if (node->height > limits_.height) {
    fail_at(node->line, fmt::format("the expression has a chain of more than {} operations", limits_.height));
  }
  return node;
}

ExpressionPtr ExpressionParser::make(Expression::Type type, int line, std::vector<ExpressionPtr> children) {
  auto node = std::make_unique<Expression>();
  node->type = type;
  node->line = line;
  node->children = std::move(children);
  return checked(std::move(node));
}

namespace {
template <typename... Nodes>
std::vector<ExpressionPtr> nodes(Nodes... list) {
  std::vector<ExpressionPtr> result;
  (result.push_back(std::move(list)), ...);
  return result;
}
}  // namespace

ExpressionPtr ExpressionParser::expression(bool conditional) {
  const Nesting nesting(*this);
  if (!conditional) return logical(true);
  ExpressionPtr node = logical(true);
  while (at_name("if")) {
    const int line = next().line;
    ExpressionPtr condition = logical(true);
    ExpressionPtr otherwise = skip_name("else") ? expression() : nullptr;
    node =
        make(Expression::Type::Conditional, line, nodes(std::move(node), std::move(condition), std::move(otherwise)));
  }
  return node;
}

ExpressionPtr ExpressionParser::tuple(bool conditional, std::string_view end_name, bool in_parentheses) {
  const int line = current().line;
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  const auto at_end = [&] {
    return current().type == TokenType::VariableEnd || current().type == TokenType::BlockEnd || at_operator(")") ||
           (!end_name.empty() && at_name(end_name));
  };
  while (!at_end()) {
    items.push_back(expression(conditional));
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.size() == 1) return std::move(items[0]);
  if (!is_tuple && !in_parentheses) fail(fmt::format("expected an expression, found {}", describe(current())));
  return make(Expression::Type::Tuple, line, std::move(items));
}

ExpressionPtr ExpressionParser::logical(bool is_or) {
  const auto operand = [&] { return is_or ? logical(false) : negation(); };
  const int line = current().line;
  std::vector<ExpressionPtr> operands;
  operands.push_back(operand());
  while (skip_name(is_or ? "or" : "and")) operands.push_back(operand());
  if (operands.size() == 1) return std::move(operands[0]);
  return make(is_or ? Expression::Type::Or : Expression::Type::And, line, std::move(operands));
}

ExpressionPtr ExpressionParser::negation() {
  if (!at_name("not")) return comparison();
  const Nesting nesting(*this);
  const int line = next().line;
  return make(Expression::Type::Not, line, nodes(negation()));
}

ExpressionPtr ExpressionParser::comparison() {
  const int line = current().line;
  std::vector<ExpressionPtr> operands;
  std::vector<Operator> operators;
  operands.push_back(sum());
  for (;;) {
    std::optional<Operator> op = comparison_operator(current());
    if (!op && at_name("not") && tokens_[at_ + 1].is(TokenType::Name, "in")) {
      next();
      op = Operator::NotIn;
    }
    if (!op) break;
    next();
    operators.push_back(*op);
    operands.push_back(sum());
  }
  if (operators.empty()) return std::move(operands[0]);
  ExpressionPtr node = make(Expression::Type::Compare, line, std::move(operands));
  node->operators = std::move(operators);
  return node;
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr node = concatenation();
  while (const auto op = one_of(current(), {{"+", Operator::Add}, {"-", Operator::Subtract}})) {
    const int line = next().line;
    node = make(Expression::Type::Binary, line, nodes(std::move(node), concatenation()));
    node->operators = {*op};
  }
  return node;
}

ExpressionPtr ExpressionParser::concatenation() {
  const int line = current().line;
  std::vector<ExpressionPtr> parts;
  parts.push_back(product());
  while (skip_operator("~")) parts.push_back(product());
  if (parts.size() == 1) return std::move(parts[0]);
  return make(Expression::Type::Concat, line, std::move(parts));
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr node = power();
  while (const auto op = one_of(current(), {{"*", Operator::Multiply},
                                            {"/", Operator::Divide},
                                            {"//", Operator::FloorDivide},
                                            {"%", Operator::Modulo}})) {
    const int line = next().line;
    node = make(Expression::Type::Binary, line, nodes(std::move(node), power()));
    node->operators = {*op};
  }
  return node;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr node = unary(true);
  while (at_operator("**")) {  // from left to right in Jinja, unlike Python
    const int line = next().line;
    node = make(Expression::Type::Binary, line, nodes(std::move(node), unary(true)));
    node->operators = {Operator::Power};
  }
  return node;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr node;
  if (at_operator("-") || at_operator("+")) {
    const Nesting nesting(*this);
    const Token sign = next();
    node = make(sign.text == "-" ? Expression::Type::Negative : Expression::Type::Positive, sign.line,
                nodes(unary(false)));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::constant(int line, Value value) {
  ExpressionPtr node = make(Expression::Type::Constant, line, {});
  node->constant = std::move(value);
  return node;
}

ExpressionPtr ExpressionParser::name_or_constant() {
  const Token token = next();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return constant(token.line, Value::boolean(true));
  if (name == "false" || name == "False") return constant(token.line, Value::boolean(false));
  if (name == "none" || name == "None") return constant(token.line, Value::none());
  if (!macros.empty()) {
    if (name == "caller") macros.back()->uses_caller = true;
    if (name == "varargs" || name == "kwargs")
      fail_at(token.line, fmt::format("'{}' of macros is not supported", name));
  }
  ExpressionPtr node = make(Expression::Type::Name, token.line, {});
  node->name = variable(name);
  return node;
}

ExpressionPtr ExpressionParser::primary() {
  const Token token = current();
  switch (token.type) {
    case TokenType::Name:
      return name_or_constant();
    case TokenType::String: {
      std::string text;
      while (current().type == TokenType::String) text += next().text;
      return constant(token.line, make_text(nullptr, std::move(text)));
    }
    case TokenType::Integer: {
      next();
      const std::optional<int64_t> value = to_integer(token.text, 0);
      if (!value) fail_at(token.line, fmt::format("{} is not an integer", describe(token)));
      return constant(token.line, Value::integer(*value));
    }
    case TokenType::Float:
      next();
      return constant(token.line, Value::real(*to_real(token.text)));
    default:
      break;
  }
  if (skip_operator("(")) {
    ExpressionPtr node = tuple(true, "", true);
    expect_operator(")");
    return node;
  }
  if (skip_operator("[")) {
    std::vector<ExpressionPtr> items;
    while (!at_operator("]")) {
      if (!items.empty()) {
        expect_operator(",");
        if (at_operator("]")) break;
      }
      items.push_back(expression());
    }
    next();
    return make(Expression::Type::List, token.line, std::move(items));
  }
  if (at_operator("{")) return dict();
  fail(fmt::format("expected an expression, found {}", describe(token)));
}

ExpressionPtr ExpressionParser::dict() {
  const int line = next().line;
  std::vector<ExpressionPtr> items;
  while (!at_operator("}")) {
    if (!items.empty()) {
      expect_operator(",");
      if (at_operator("}")) break;
    }
    items.push_back(expression());
    expect_operator(":");
    items.push_back(expression());
  }
  next();
  return make(Expression::Type::Dict, line, std::move(items));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  for (;;) {
    if (at_operator(".") || at_operator("[")) {
      node = subscript(std::move(node));
    } else if (at_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr node) {
  for (;;) {
    if (at_operator("|")) {
      next();
      node = filter(std::move(node));
    } else if (at_name("is")) {
      node = test(std::move(node));
    } else if (at_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const int line = current().line;
  if (skip_operator(".")) {
    if (current().type == TokenType::Integer) {
      ExpressionPtr index = primary();
      return make(Expression::Type::Subscript, line, nodes(std::move(node), std::move(index)));
    }
    std::string name = expect_name();
    if (name[0] == '_')
      fail_at(line, fmt::format("attribute '{}': names that start with _ are not allowed", printable(name, 40)));
    node = make(Expression::Type::Attribute, line, nodes(std::move(node)));
    node->text = std::move(name);
    return node;
  }
  expect_operator("[");
  if (at_operator("]")) fail("expected a subscript, found ']'");
  ExpressionPtr bounds[3];
  size_t part = 0;
  bool slice = false;
  for (;;) {
    if (at_operator(":")) {
      if (++part == 3) fail("a slice has at most three parts");
      slice = true;
      next();
    } else if (at_operator("]")) {
      break;
    } else if (bounds[part] == nullptr && !at_operator(",")) {
      bounds[part] = expression();
    } else {
      break;
    }
  }
  if (at_operator(",") && slice) fail("a slice among several subscripts is not supported");
  if (slice) {
    expect_operator("]");
    return make(Expression::Type::Slice, line,
                nodes(std::move(node), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2])));
  }
  if (at_operator(",")) fail("several subscripts are not supported");
  expect_operator("]");
  return make(Expression::Type::Subscript, line, nodes(std::move(node), std::move(bounds[0])));
}

void ExpressionParser::arguments(Expression& node) {
  expect_operator("(");
  bool first = true;
  while (!at_operator(")")) {
    if (!first) {
      expect_operator(",");
      if (at_operator(")")) break;
    }
    first = false;
    if (node.children.size() + node.keywords.size() > kMaxArguments) fail("more than 255 arguments");
    if (at_operator("*") || at_operator("**")) fail("arguments by * and ** are not supported");
    if (current().type == TokenType::Name && tokens_[at_ + 1].is(TokenType::Operator, "=")) {
      std::string name = next().text;
      next();
      for (const Keyword& known : node.keywords) {
        if (known.name == name) fail(fmt::format("argument '{}' is given twice", printable(name, 40)));
      }
      node.keywords.push_back({std::move(name), expression()});
    } else {
      if (!node.keywords.empty()) fail("an argument without name follows one with a name");
      node.children.push_back(expression());
    }
  }
  next();
}

void ExpressionParser::check_callee(const Expression& callee) const {
  if (callee.type == Expression::Type::Attribute && !known_method(callee.text)) {
    fail_at(callee.line, fmt::format("method '{}' is not supported", printable(callee.text, 40)));
  }
  if (callee.type == Expression::Type::Name) {
    const std::string& name = names[static_cast<size_t>(callee.name)];
    for (const std::string_view unknown : {"lipsum", "cycler", "joiner", "super", "self", "gettext", "_"}) {
      if (name == unknown) fail_at(callee.line, fmt::format("function '{}' is not supported", name));
    }
    if (name == "loop") fail_at(callee.line, "recursive loops are not supported");
  }
}

ExpressionPtr ExpressionParser::call(ExpressionPtr callee) {
  check_callee(*callee);
  auto node = std::make_unique<Expression>();
  node->type = Expression::Type::Call;
  node->line = current().line;
  node->children.push_back(std::move(callee));
  arguments(*node);
  return checked(std::move(node));
}

// map('upper') and select('odd') name a filter or test in their first argument.
void ExpressionParser::check_builtin_argument(const Expression& node) const {
  const bool attribute = node.text == "selectattr" || node.text == "rejectattr";
  const bool tests = attribute || node.text == "select" || node.text == "reject";
  const size_t at = attribute ? 2 : 1;
  if ((!tests && node.text != "map") || node.children.size() <= at) return;
  const Expression& name = *node.children[at];
  if (name.type != Expression::Type::Constant || !name.constant.is(Kind::Text)) return;
  if ((tests ? find_test(name.constant.str()) : find_filter(name.constant.str())) < 0) {
    fail_at(name.line,
            fmt::format("{} '{}' is not supported", tests ? "test" : "filter", printable(name.constant.str(), 40)));
  }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr input) {
  auto node = std::make_unique<Expression>();
  node->type = Expression::Type::Filter;
  node->line = current().line;
  node->text = expect_name();
  node->builtin = find_filter(node->text);
  if (node->builtin < 0) fail_at(node->line, fmt::format("filter '{}' is not supported", printable(node->text, 40)));
  node->children.push_back(std::move(input));
  if (at_operator("(")) arguments(*node);
  check_builtin_argument(*node);
  return checked(std::move(node));
}

ExpressionPtr ExpressionParser::filter_chain() {
  ExpressionPtr node = filter(nullptr);
  while (skip_operator("|")) node = filter(std::move(node));
  return node;
}

ExpressionPtr ExpressionParser::call_only() {
  ExpressionPtr node = expression();
  if (node->type != Expression::Type::Call) fail_at(node->line, "expected a call");
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr input) {
  const int line = next().line;
  const bool negated = skip_name("not");
  auto node = std::make_unique<Expression>();
  node->type = Expression::Type::Test;
  node->line = line;
  node->text = expect_name();
  node->builtin = find_test(node->text);
  if (node->builtin < 0) fail_at(line, fmt::format("test '{}' is not supported", printable(node->text, 40)));
  node->children.push_back(std::move(input));
  const Token& token = current();
  const bool starts_argument = token.type == TokenType::Name || token.type == TokenType::String ||
                               token.type == TokenType::Integer || token.type == TokenType::Float || at_operator("[") ||
                               at_operator("{");
  if (at_operator("(")) {
    arguments(*node);
  } else if (starts_argument && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) fail("tests with 'is' cannot be chained");
    node->children.push_back(postfix(primary()));
  }
  ExpressionPtr result = checked(std::move(node));
  return negated ? make(Expression::Type::Not, line, nodes(std::move(result))) : std::move(result);
}

Target ExpressionParser::target(bool attributes) {
  const Nesting nesting(*this);
  std::vector<Target> parts;
  bool is_tuple = false;
  const auto at_end = [&] { return current().type == TokenType::BlockEnd || at_operator(")"); };
  while (!at_end()) {
    Target part;
    if (skip_operator("(")) {
      part = target(attributes);
      expect_operator(")");
    } else {
      const std::string name = expect_name();
      for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
        if (name == reserved) fail(fmt::format("'{}' cannot be assigned to", name));
      }
      part.name = variable(name);
      if (attributes && skip_operator(".")) {
        part.type = Target::Type::Attribute;
        part.attribute = expect_name();
        if (part.attribute[0] == '_') fail("attributes that start with _ are not allowed");
      }
    }
    parts.push_back(std::move(part));
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (parts.empty()) fail(fmt::format("expected a variable, found {}", describe(current())));
  if (!is_tuple) return std::move(parts[0]);
  Target result;
  result.type = Target::Type::Tuple;
  result.parts = std::move(parts);
  return result;
}

}  // namespace duan::text::jinja
