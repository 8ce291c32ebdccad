// The parser of expressions; jinja_parser builds statements on it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace duan::text::jinja {

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, std::string where, const TemplateLimits& limits);

  // `conditional`: whether "a if b else c" may stand here without parentheses.
  ExpressionPtr expression(bool conditional = true);
  // An expression or, with commas, a tuple. `end_name`: a name that may follow a closing comma.
  ExpressionPtr tuple(bool conditional, std::string_view end_name = "", bool in_parentheses = false);
  // "upper | replace(...)" applied to a value given later.
  ExpressionPtr filter_chain();
  ExpressionPtr call_only();  // an expression that is a call
  Target target(bool attributes);
  NameId variable(std::string_view name);

  const Token& current() const { return tokens_[at_]; }
  Token next() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool at_operator(std::string_view op) const { return current().is(TokenType::Operator, op); }
  bool at_name(std::string_view name) const { return current().is(TokenType::Name, name); }
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view op);
  std::string expect_name();
  void expect_end_of_tag();
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_at(int line, const std::string& what) const;

  // Counts one level of nesting while it lives.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

  std::vector<MacroDefinition*> macros;  // that are being parsed, innermost last
  std::vector<std::string> names;
  const std::string where;

 private:
  ExpressionPtr make(Expression::Type type, int line, std::vector<ExpressionPtr> children);
  ExpressionPtr checked(ExpressionPtr node) const;  // the height set and within the limit
  ExpressionPtr logical(bool is_or);
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr constant(int line, Value value);
  ExpressionPtr name_or_constant();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr filters_and_tests(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr call(ExpressionPtr callee);
  ExpressionPtr filter(ExpressionPtr input);
  ExpressionPtr test(ExpressionPtr input);
  void arguments(Expression& node);
  void check_callee(const Expression& callee) const;
  void check_builtin_argument(const Expression& filter) const;

  std::unordered_map<std::string, NameId> name_ids_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  const TemplateLimits limits_;
};

}  // namespace duan::text::jinja
