// The syntax tree of a template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/jinja_value.h"

namespace duan::text::jinja {

using NameId = int;  // names of variables are numbered by the parser

enum class Operator : unsigned char {
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  In,
  NotIn,
};

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Keyword {
  std::string name;
  ExpressionPtr value;
};

struct Expression {
  enum class Type : unsigned char {
    Constant,  // constant
    Name,      // name
    List,
    Tuple,      // children
    Dict,       // children: key, value, key, value, ...
    Attribute,  // children[0] . text
    Subscript,  // children[0] [ children[1] ]
    Slice,      // children[0] [ children[1] : children[2] : children[3] ], the last three may be null
    Call,       // children[0] ( children[1...], keywords )
    Filter,     // children[0] | text ( children[1...], keywords ); children[0] null in {% filter %} and {% set %}
    Test,       // children[0] is text ( children[1...], keywords )
    Not,
    Negative,
    Positive,
    Binary,  // children[0] operators[0] children[1]
    And,
    Or,           // children, at least two
    Concat,       // children, joined as text
    Compare,      // children[0] operators[0] children[1] operators[1] children[2] ...
    Conditional,  // children[0] if children[1] else children[2], the last may be null
  };
  Type type;
  int line = 0;
  int height = 1;
  NameId name = 0;
  int builtin = -1;  // Filter, Test: index in the table
  std::string text;
  Value constant;
  std::vector<ExpressionPtr> children;
  std::vector<Keyword> keywords;
  std::vector<Operator> operators;
};

struct Target {  // what is assigned to
  enum class Type : unsigned char { Name, Attribute, Tuple };
  Type type = Type::Name;
  NameId name = 0;
  std::string attribute;      // Attribute: name.attribute, of a namespace
  std::vector<Target> parts;  // Tuple
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  NameId name;
  std::string text;
  ExpressionPtr fallback;  // may be null
};

struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  bool uses_caller = false;
  Body body;
};

struct Statement {
  enum class Type : unsigned char {
    Data,         // text
    Print,        // expressions, one after the other
    If,           // expressions[i] decides bodies[i]; one more body is the else
    For,          // targets[0] in expressions[0] if expressions[1] (may be null); bodies: loop, else
    Set,          // targets[0] = expressions[0]
    SetBlock,     // targets[0] = bodies[0] through expressions[0] (a filter, may be null)
    Macro,        // macro
    CallBlock,    // expressions[0], a call, with macro as its caller
    FilterBlock,  // bodies[0] through expressions[0]
    With,         // targets[i] = expressions[i] in bodies[0]
    Scope,        // bodies[0] with its own variables: {% generation %}
    Break,
    Continue,
  };
  Type type;
  int line = 0;
  std::string text;
  std::vector<ExpressionPtr> expressions;
  std::vector<Target> targets;
  std::vector<Body> bodies;
  std::unique_ptr<MacroDefinition> macro;
};

struct Template {
  std::string where;
  Body body;
  std::vector<std::string> names;  // by NameId
};

// The names every template of ours knows by number.
enum KnownName : NameId { kNameLoop, kNameCaller, kKnownNames };

}  // namespace duan::text::jinja
