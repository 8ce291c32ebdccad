// Hostile and malformed templates: each ends with one Error, quickly and in little memory.
#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>

#include "base/error.h"
#include "text/chat_template.h"

namespace duan::text {
namespace {

std::string times(size_t count, const std::string& text) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

struct Hostile {
  const char* name;
  std::string source;
  const char* cause;  // part of the message
};

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

std::vector<Hostile> hostile_templates() {
  return {
      // Syntax.
      {"UnterminatedVariable", "a\nb {{ x", "has no end }}"},
      {"UnterminatedBlock", "{% if x", "has no end %}"},
      {"UnterminatedComment", "x {# never", "has no end #}"},
      {"UnterminatedRaw", "{% raw %} {{ x }}", "no {% endraw %}"},
      {"UnterminatedString", "{{ 'abc }}", "no closing"},
      {"UnterminatedIf", "{% if true %}x", "no 'endif'"},
      {"UnterminatedFor", "{% for x in messages %}x", "no 'endfor'"},
      {"WrongEnd", "{% for x in messages %}{% endif %}", "tag 'endif' does not fit"},
      {"StrayElse", "{% else %}", "tag 'else' does not fit"},
      {"UnbalancedBracket", "{{ (1] }}", "unexpected ']'"},
      {"StrayCharacter", "{{ a $ b }}", "unexpected character"},
      {"EmptyExpression", "{{ }}", "expected an expression"},
      {"IntegerTooLarge", "{{ 99999999999999999999 }}", "64 bits"},
      {"InvalidUtf8", "a\xff\xfe{{ x }}", "not valid UTF-8"},
      {"SurrogateEscape", "{{ '\\ud800' }}", "no character"},
      {"BreakOutsideOfLoop", "{% break %}", "outside of a loop"},
      // What is not supported.
      {"UnknownFilter", "{{ messages | xmlattr }}", "filter 'xmlattr' is not supported"},
      {"UnknownFilterInDeadBranch", "{% if false %}{{ 1 | pprint }}{% endif %}", "filter 'pprint' is not supported"},
      {"UnknownFilterOfMap", "{{ messages | map('attr', 'x') | list }}", "filter 'attr' is not supported"},
      {"UnknownTest", "{{ messages is escaped }}", "test 'escaped' is not supported"},
      {"UnknownMethod", "{{ 'x'.format_map({}) }}", "method 'format_map' is not supported"},
      {"MutatingMethod", "{% set x = messages.append(1) %}", "method 'append' is not supported"},
      {"UnknownTag", "{% import 'os' as os %}", "tag 'import' is not supported"},
      {"IncludeTag", "{% include '/etc/passwd' %}", "tag 'include' is not supported"},
      {"ExtendsTag", "{% extends 'x' %}", "tag 'extends' is not supported"},
      {"UnknownGlobal", "{{ cycler('a').next() }}", "is not supported"},
      {"RecursiveLoop", "{% for x in messages recursive %}{% endfor %}", "recursive loops are not supported"},
      {"StarArguments", "{{ range(*messages) }}", "by * and ** are not supported"},
      // Ways out of the sandbox.
      {"ClassWalk", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "names that start with _"},
      {"ClassWalkOfFunction", "{{ range.__globals__ }}", "names that start with _"},
      {"ClassWalkBySubscript", "{{ ''['__class__']['__mro__'] }}", "is undefined"},
      {"ClassWalkByMap", "{{ [''] | map(attribute='__class__.__mro__') | list }}", "undefined"},
      {"UnderscoreInNamespace", "{% set ns = namespace(__init__=1) %}", "must not start with _"},
      {"UnderscoreByAssignment", "{% set ns = namespace() %}{% set ns.__class__ = 1 %}", "start with _"},
      {"FormatString", "{{ '{0.__class__}'.format(1) }}", "method 'format' is not supported"},
      {"PercentFormat", "{{ '%999999999d' % 1 }}", "'%' is not supported"},
      // Wrong at run time.
      {"AttributeOfUndefined", "\n{{ nothing.at.all }}", "'nothing' is undefined"},
      {"CallOfUndefined", "{{ nothing() }}", "'nothing' is undefined"},
      {"DivisionByZero", "{{ 1 // 0 }}", "division by zero"},
      {"ModuloByZero", "{{ 1 % 0 }}", "division by zero"},
      {"Overflow", "{{ 9223372036854775807 + 1 }}", "64 bits"},
      {"OverflowOfPower", "{{ 10 ** 100 }}", "64 bits"},
      {"OverflowOfNegation", "{{ -(-9223372036854775807 - 1) }}", "64 bits"},
      {"OverflowOfDivision", "{{ (-9223372036854775807 - 1) // -1 }}", "64 bits"},
      {"RaisedByTheTemplate", "{{ raise_exception('bad\nroles') }}", "refuses the conversation: bad\\x0aroles"},
      // Depth.
      {"DeepParentheses", "{{ " + times(10000, "(") + "1" + times(10000, ")") + " }}", "nested deeper than 64"},
      {"DeepLists", "{{ " + times(10000, "[") + times(10000, "]") + " }}", "nested deeper than 64"},
      {"DeepSubscripts", "{{ " + times(10000, "a[") + "1" + times(10000, "]") + " }}", "nested deeper than 64"},
      {"DeepIfs", times(10000, "{% if true %}") + times(10000, "{% endif %}"), "nested deeper than 64"},
      {"DeepNots", "{{ " + times(10000, "not ") + "1 }}", "nested deeper than 64"},
      {"DeepNegation", "{{ " + times(10000, "- ") + "1 }}", "nested deeper than 64"},
      {"DeepElse", "{{ " + times(10000, "1 if 0 else ") + "1 }}", "nested deeper than 64"},
      {"DeepTargets", "{% for " + times(10000, "(") + "a" + times(10000, ")") + " in messages %}{% endfor %}",
       "nested deeper than 64"},
      {"LongChainOfFilters", "{{ 1" + times(10000, "|abs") + " }}", "more than 256 operations"},
      {"LongChainOfSums", "{{ 1" + times(10000, "+1") + " }}", "more than 256 operations"},
      {"LongChainOfAttributes", "{{ a" + times(10000, ".a") + " }}", "more than 256 operations"},
      {"RecursiveMacro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deeper than 64"},
      {"MutualMacros", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
       "deeper than 64"},
      {"RecursiveMacroInDeepExpression",
       "{% macro m() %}{{ " + times(40, "(1,") + "m()" + times(40, ")") + " }}{% endmacro %}{{ m() }}", "too deep"},
      {"MapOfMaps", "{{ 'a' | map(" + times(200, "'map',") + "'map') | list }}",
       "filters call each other deeper than 64"},
      {"ManyArguments", "{{ range(" + times(300, "1,") + "1) }}", "more than 255 arguments"},
      {"DeepValues", "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}",
       "nested deeper than 64"},
      // Size and time.
      {"HugeSource", times(300000, "x"), "at most 262144"},
      {"HugeRange", "{{ range(10 ** 9) | list }}", "at most 100000"},
      {"HugeRangeDown", "{{ range(0, -9223372036854775807, -1) | length }}", "at most 100000"},
      {"HugeRepetition", "{{ 'a' * 10 ** 9 }}", "more than 4194304 bytes"},
      {"HugerRepetition", "{{ 'ab' * 9223372036854775807 }}", "more than 4194304 bytes"},
      {"HugeListRepetition", "{{ [1, 2] * 10 ** 9 }}", "steps"},
      {"HugeOutput", "{% for i in range(100000) %}{{ '" + times(1000, "x") + "' }}{% endfor %}", "4194304 bytes"},
      {"HugeCapture", "{% set x %}{% for i in range(100000) %}" + times(1000, "x") + "{% endfor %}{% endset %}",
       "4194304 bytes"},
      {"NestedLoops", times(6, "{% for i in range(1000) %}") + "x" + times(6, "{% endfor %}"), "steps"},
      {"DoublingText",
       "{% set ns = namespace(x='ab') %}{% for i in range(1000) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
       "4194304 bytes"},
      {"DoublingList",
       "{% set ns = namespace(x=[1]) %}{% for i in range(1000) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
       "more than"},
      {"SharedTree",
       "{% set ns = namespace(x=['y']) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
       "steps"},
      {"SharedTreeToJson",
       "{% set ns = namespace(x=['y']) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | "
       "tojson }}",
       "steps"},
      {"SharedTreeCompared",
       "{% set ns = namespace(x=['y'], y=['y']) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = "
       "[ns.y, ns.y] %}"
       "{% endfor %}{{ ns.x == ns.y }}",
       "steps"},
      {"ReplaceExplosion", "{% set a = 'a' * 4000 %}{{ a.replace('a', a) }}", "4194304 bytes"},
      {"JoinExplosion", "{{ ('x' * 4000).join('y' * 4000) }}", "4194304 bytes"},
      {"IndentExplosion", "{{ ('\n' * 100000) | indent(100000, blank=true) }}", "4194304 bytes"},
      {"JsonIndentExplosion", "{{ range(100000) | list | tojson(indent=1000) }}", "4194304 bytes"},
      {"KeptLists",
       "{% set ns = namespace(x=[]) %}{% for i in range(60) %}{% set ns.x = ns.x + [range(9000) | list] %}{% endfor %}",
       "more than"},
      {"ManyNamespaces", "{% for i in range(100000) %}{% set a = namespace(x=i) %}{% endfor %}", "more than"},
      {"ChainOfNamespaces",
       "{% set ns = namespace(x=0) %}{% for i in range(100000) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}",
       "more than"},
      {"ManyMacros", "{% for i in range(100000) %}{% macro m() %}{% endmacro %}{% endfor %}", "more than"},
      {"SplitIntoMany", "{{ ('a' * 1000000).split('a') | length }}", "more than"},
      {"ListOfCharacters", "{{ ('a' * 1000000) | list | length }}", "more than"},
      {"ManyKeys",
       "{{ {" + times(20000, "1:1,") + "} }}{% for i in range(100000) %}{{ [1]*9000 == [1]*9000 }}{% endfor %}",
       "steps"},
      {"SortingLongTexts", "{% for i in range(100) %}{{ ('ab' * 50000) | sort | first }}{% endfor %}", "more than"},
  };
}

const TemplateInput& conversation() {
  static const TemplateInput input{parse_json(R"([{"role": "user", "content": "hi"}])", "messages"), nullptr, true,
                                   Json::object()};
  return input;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kSlack = 20;
constexpr bool kMeasureMemory = false;  // the sanitizer's allocator keeps freed blocks
#else
constexpr double kSlack = 1;
constexpr bool kMeasureMemory = true;
#endif

class JinjaHostile : public testing::TestWithParam<Hostile> {};

TEST_P(JinjaHostile, EndsInOneErrorQuickly) {
  const Hostile& hostile = GetParam();
  std::string error = "no error", where;
  // Processor time, so that other programs on the machine do not count.
  const std::clock_t start = std::clock();
  try {
    const std::string out = ChatTemplate::parse(hostile.source, "evil.jinja").render(conversation());
    error += ", but " + std::to_string(out.size()) + " bytes: " + out.substr(0, 100);
  } catch (const Error& caught) {
    error = caught.what();
    where = caught.where();
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_NE(error.find(hostile.cause), std::string::npos) << error;
  EXPECT_EQ(where.substr(0, 10), "evil.jinja") << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  EXPECT_LT(error.size(), 500u);
  EXPECT_LT(seconds, 0.1 * kSlack);
}

INSTANTIATE_TEST_SUITE_P(All, JinjaHostile, testing::ValuesIn(hostile_templates()),
                         [](const auto& entry) { return std::string(entry.param.name); });

TEST(JinjaMalformed, ErrorsNameTheLine) {
  try {
    ChatTemplate::parse("a\nb\n{{ 1 | nope }}", "file.jinja");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "file.jinja:3: filter 'nope' is not supported");
  }
  try {
    (void)ChatTemplate::parse("a\n{% if true %}\n{{ messages.x.y }}{% endif %}", "file.jinja").render(conversation());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "file.jinja:3");
  }
}

TEST(JinjaMalformed, EveryTruncationIsAnErrorOrATemplate) {
  const std::string source =
      "{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{% for x in messages[::-1] if x.role is string %}{% if loop.first "
      "and "
      "x['role'] not in ['a', \"b\"] %}{{- m(x.content | trim, b={'k': (1, 2.5)}) -}}{% elif x %}{% set y = x %}{% "
      "else %}"
      "{# c #}{% raw %}{{ r }}{% endraw %}{% endif %}{% endfor %}";
  for (size_t size = 0; size <= source.size(); ++size) {
    try {
      (void)ChatTemplate::parse(source.substr(0, size), "cut").render(conversation());
    } catch (const Error&) {
    }
  }
  EXPECT_EQ(ChatTemplate::parse(source, "whole").render(conversation()), "hi{'k': (1, 2.5)}");
}

// At the limits a template still renders; one beyond is an Error.
TEST(JinjaLimits, AreExact) {
  const auto renders = [](const std::string& source, const TemplateLimits& limits = {}) {
    try {
      (void)ChatTemplate::parse(source, "limit", limits).render(conversation());
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  EXPECT_TRUE(renders("{{ range(100000) | length }}"));
  EXPECT_FALSE(renders("{{ range(100001) | length }}"));
  EXPECT_TRUE(renders("{{ 'abcd' * 1048576 }}"));
  EXPECT_FALSE(renders("{{ 'abcd' * 1048576 }}x"));
  // Printed, listed and put into JSON piece by piece, a long text costs steps in proportion to its length.
  EXPECT_TRUE(renders("{% for i in range(20000) %}{{ i }}" + times(190, "x") + "{% endfor %}"));
  EXPECT_TRUE(renders("{% set x = ['" + times(190, "x") + "'] * 15000 %}{{ x }}"));
  EXPECT_TRUE(renders("{% set x = ['" + times(190, "x") + "'] * 15000 %}{{ x | tojson }}"));
  const auto nested = [](size_t levels) { return "{{ " + times(levels, "[") + times(levels, "]") + " }}"; };
  TemplateLimits limits;
  limits.depth = 10;
  size_t deepest = 0;
  while (renders(nested(deepest + 1), limits)) ++deepest;
  EXPECT_GE(deepest, 8u);
  EXPECT_LE(deepest, 10u);
  limits = {};
  limits.steps = 100;
  EXPECT_TRUE(renders("{% for i in range(10) %}{{ i }}{% endfor %}", limits));
  EXPECT_FALSE(renders("{% for i in range(100) %}{{ i }}{% endfor %}", limits));
  limits = {};
  limits.source_bytes = 4;
  EXPECT_TRUE(renders("abcd", limits));
  EXPECT_FALSE(renders("abcde", limits));
}

TEST(JinjaLimits, MemoryOfHostileTemplatesIsGivenBack) {
  if (!kMeasureMemory) GTEST_SKIP() << "needs the system's allocator";
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (const Hostile& hostile : hostile_templates()) {
    try {
      (void)ChatTemplate::parse(hostile.source, "evil").render(conversation());
    } catch (const Error&) {
    }
  }
  const size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  EXPECT_LT(after, before + (1u << 20));
}

}  // namespace
}  // namespace duan::text
