"""Writes tests/data/templates/cases.jsonl: small templates as Jinja2 renders them, with the settings of transformers.

Needs jinja2 >= 3.1.6. One JSON object a line: source, context (what the template is given), and rendered or error.
Usage: make_template_goldens.py OUTPUT
"""
import json
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


CONTEXT = {
    "xs": [3, 1, 2], "ss": ["b", "A", "c", "a"], "s": "Hello World", "e": "", "n": 5, "f": 2.5, "neg": -7, "t": True,
    "z": None, "d": {"b": 1, "a": 2, "C": 3}, "u": "héllo wörld 端 ß", "lines": "one\ntwo\n\nthree",
    "users": [{"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25, "tags": []}, {"name": "Cid", "age": 30}],
    "nested": {"k": {"items": [1, {"v": "deep"}]}}, "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}],
}

WHITESPACE = r"""
a{% if true %}b{% endif %}c
a\n{% if true %}\nb\n{% endif %}\nc
a\n  {% if true %}\n  b\n  {% endif %}\n  c
a\n  {%- if true -%}\n  b\n  {%- endif -%}\n  c
a\n  {%+ if true %}\n  b\n  {%+ endif %}\n  c
a\n  {% if true +%}\n  b\n  {% endif +%}\n  c
  {% set x = 1 %}  {{ x }}  \n  {{ x }}
  {{- 'x' -}}  \n y
 a {{- ' x ' }} b
 a {{ ' x ' -}}   b
a {# comment #} b
a\n {# comment #}\nb
a\n {#- comment -#}\nb
a\n {#+ comment +#}\nb
{# {{ x }} {% bad %} #}ok
a\n\n{% if true %}\n\nb\n\n{% endif %}\n\nc\n
end with newline\n
end with two\n\n
  {% raw %}  {{ x }} {% if %}  {% endraw %}  z
a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\n  z
a  {%- raw -%}   {{ x }}   {%- endraw -%}   z
{% raw %}{% endraw %}
{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\n
{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}\n
\t{% if true %}\tx\t{% endif %}\t
x {% if true %} y {% endif %} z
{{ 1 }}\n{{ 2 }}
{{ 1 -}}\n{{ 2 }}
a\r\nb\rc\n
{%- if true %}\n{%- endif %}
{{ '{{' }} {{ '%}' }} {{ "}}" }}
{ { } } {x} %} }}
{
text only
a{#-#}b
a {#--#} b
a\n  {{ 1 }}\n  b
a {%- set y = 2 +%}\n b
\u00a0{%- if true %}x{% endif %}
"""

EXPRESSIONS = r"""
1 + 2 * 3 - 4
7 // 2, -7 // 2, 7 // -2, 7 % 3, -7 % 3, 7 % -3
7 / 2, 6 / 2, 1 / 3
2 ** 3, 2 ** -1, 2 ** 3 ** 2, -2 ** 2
7.5 // 2, -7.5 // 2, 7.5 % 2, -7.5 % 2
1e3, 1.5e-7, 1e16, 1e22, 123456789012345680.0, 0.1 + 0.2, 1e-5, 0.0001, 1.0, -0.0
0x1F, 0b101, 0o17, 1_000
true, false, none, True, False, None
'a' 'b' "c"
'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1]
'a' + 'b', 'ab' * 3, 3 * 'ab', 'ab' * 0, 'ab' * -1, [1] * 2, (1,) * 2
[1, 2] + [3], (1, 2) + (3,)
1 == 1.0, true == 1, '1' == 1, none == false, [1] == [1.0], (1,) == [1], {'a': 1} == {'a': 1.0}
1 < 2 < 3, 1 < 3 < 2, 3 > 2 >= 2 != 1
'a' < 'b', 'Z' < 'a', [1, 2] < [1, 3], (1,) < (1, 0)
9007199254740993 == 9007199254740992.0, 9007199254740993 > 9007199254740992.0
1 in [1, 2], 3 not in [1, 2], 'a' in 'cat', 'x' in {'x': 1}, 1 in {'x': 1}, '' in ''
not true, not not 1, not none
1 and 2, 0 and 2, '' or 'x', none or 0, 1 or 2
1 and 2 or 3, not 1 or 2
'y' if true else 'n', 'y' if false else 'n', 'y' if false
'a' if 0 else 'b' if 0 else 'c'
(1), (1,), (), (1, 2)
[1, 2, 3][0], [1, 2, 3][-1], [1, 2, 3][1:], [1, 2, 3][:-1], [1, 2, 3][::-1], [1,2,3,4,5][4:1:-2], [1,2,3][::2]
'hello'[1], 'hello'[-1], 'hello'[1:3], 'hello'[::-1], 'hello'[10:], 'hello'[-3:]
(1, 2, 3)[1:], range(10)[2:5], range(10)[::-3], range(5)[2], range(5)[-1]
u[1], u[-1], u[1:3], u[::-1], u | length
xs.0, nested.k['items'].1.v
nested.k['items'][1]['v'], nested.k['items'][0]
{'a': 1, 'b': [1, 2]}, {}, {'a': {'b': none}}
{1: 'a', true: 'b', none: 'c', 1.5: 'd', (1, 2): 'e'}
{'a': 1, 'a': 2}
['a', "it's", 'q"', 'both\'"', 'n\n\t\\', 'é端', '\x01\x7f', '\u200b\u00a0\U0001f600']
[1.0, 1e100, 1e16, none, true, 'x', (1,), [], {}]
-n, +n, - -n, -f
n is defined, missing is defined, missing is undefined, z is none, missing is none
s is string, n is string, n is number, f is number, t is number, s is number
n is integer, t is integer, f is float, n is float, t is boolean, n is boolean
t is true, t is false, n is true, d is mapping, xs is mapping
xs is iterable, s is iterable, n is iterable, d is iterable, missing is iterable
xs is sequence, s is sequence, d is sequence, n is sequence, missing is sequence
n is odd, n is even, 4 is even, n is divisibleby 5, n is divisibleby(3)
n is eq 5, n is equalto(5), n is ne 5, n is lt 6, n is gt 6, n is ge 5, n is le 4, n is in [5], n is not in [5]
n is sameas 5, z is sameas none, t is sameas true, xs is sameas xs, 1 is sameas true
'abc' is lower, 'ABC' is upper, 'Abc' is lower, '12' is upper
n is not odd, not n is odd, n is odd and true, n is odd or false
range is callable, n is callable, s.upper is callable, missing is callable
missing, missing or 'x', missing ~ 'x', missing == missing, missing == none, not missing, missing | length
missing in [1], 1 in missing, [missing], missing | list, missing | join
d.a, d['a'], d.get('a'), d.get('x'), d.get('x', 9), d.missing, d['missing']
d.items is defined, {'items': 1}.items is callable, d.keys() | list, d.values() | list, d.items() | list, d.items(), d.keys(), d.values()
d.items() | length, d | length, d | list, d | first, d | last
s.upper(), s.lower(), s.title(), s.capitalize(), 'éß'.upper(), 'ÉΑΣ'.lower(), 'ΟΔΟΣ ΣΑΣ'.lower()
'  x '.strip(), '  x '.lstrip(), '  x '.rstrip(), 'xxaxx'.strip('x'), 'xya'.lstrip('yx'), 'axy'.rstrip('xy'), ' x'.strip(none)
'\u3000x\u00a0'.strip() ~ '|', '\u200bx'.strip() | length
'a,b,,c'.split(','), 'a b  c '.split(), ' a b '.split(none, 1), 'a,b,c'.split(',', 1), ''.split(), ''.split(','), 'a<x>b<x>'.split('<x>')
'a,b,c'.rsplit(',', 1), ' a b  c '.rsplit(none, 1), 'a-b'.split(sep='-', maxsplit=1)
'hello'.startswith('he'), 'hello'.startswith(('x', 'h')), 'hello'.endswith('lo'), 'hello'.endswith('hello!'), 'hello'.startswith('l', 2), 'hello'.endswith('l', 0, 4)
'aXbX'.replace('X', '--'), 'aaa'.replace('a', 'b', 2), 'abc'.replace('', '-'), 'abc'.replace('', '-', 2), 'é端'.replace('', '.')
', '.join(['a', 'b']), ''.join([]), '-'.join('abc'), '-'.join({'x': 1})
'hello'.find('l'), 'hello'.find('z'), 'hello'.rfind('l'), 'hello'.count('l'), 'é端x'.find('x'), 'hello'.find('l', 3), 'hello'.find('l', -1), 'aaa'.count(''), 'hello'.count('l', 0, 3), 'ab'.find('', 5)
'a\nb\r\nc'.splitlines(), 'a\nb\n'.splitlines(true), 'xfoo'.removeprefix('x'), 'foox'.removesuffix('x'), 'x'.removeprefix('y')
[1, 2, 1].count(1), [1, 2].index(2), (1, 2).index(2), range(3).index(1)
"it's".title(), "they're bill's".title(), 'a1b2'.title(), 'ǆ'.title(), 'ŉa'.title()
range(3), range(1, 4), range(5, 0, -2), range(3) | list, range(0) | list, range(3) | length, 2 in range(3)
range(5, 0, -2) | list, range(-3) | list, range(1, 10, 3) | sum
namespace(a=1).a, namespace({'a': 2}).a, namespace(a=1).b
dict(a=1, b=2), dict({'x': 1}, y=2), dict()
xs | length, s | count, e | length
s | upper, s | lower, s | title, s | capitalize, 'hello-world (foo) {x' | title, 'ß' | upper, 'ﬁx' | title
'  x ' | trim, 'xax' | trim('x'), 5 | trim, none | upper, 'x' | trim(chars='x')
xs | join, xs | join(', '), users | join('/', attribute='name'), users | join(attribute='age', d='+'), ['a', none, 1.5] | join('-')
missing | default('x'), missing | d('x'), e | default('x'), e | default('x', true), z | default('x'), missing | default, z | default('x', boolean=true), d.q | d(1)
xs | first, xs | last, [] | first, [] | last, s | first, s | last, d | first, range(3) | last
xs | list, s | list, (1, 2) | list, d | list
1 | string, none | string, [1, 'a'] | string, true | string ~ 'x'
'12' | int, '12.7' | int, 'x' | int, 'x' | int(7), 12.9 | int, -12.9 | int, true | int, none | int, ' 5 ' | int, '0x1f' | int(0, 16), '1_0' | int, '' | int, 'ff' | int(base=16), '-0b11' | int(0, 2), '1e3' | int
'12.5' | float, 'x' | float, 'x' | float(1.5), 3 | float, '1e3' | float, 'inf' | float, 'nan' | float, none | float, '.5' | float, '5.' | float, '1e400' | float, '1e-400' | float
-5 | abs, 5 | abs, -2.5 | abs, (-5) | abs, true | abs
2.5 | round, 3.5 | round, 2.567 | round(2), 2.567 | round(1, 'ceil'), 2.567 | round(1, 'floor'), 5 | round, 2.5 | round(method='ceil'), 1234.5 | round(-2), 1250 | round(-2), 1350 | round(-2), 0.5 | round, 2.675 | round(2), 42.55 | round, -1250 | round(-2), 15 | round(-1), 25 | round(-1)
'hello' | replace('l', 'L'), 'hello' | replace('l', 'L', 1), 'a1' | replace(1, 2), 5 | replace('5', 'x')
'abc' | reverse, xs | reverse | list, d | reverse | list, (1, 2) | reverse | first
xs | sort, xs | sort(reverse=true), ss | sort, ss | sort(case_sensitive=true), users | sort(attribute='age') | map(attribute='name') | list, users | sort(attribute='name', reverse=true) | map(attribute='name') | list, users | sort(true, attribute='age') | map(attribute='name') | list
[3, 1.5, true] | sort, ['b', 'B', 'a'] | sort, [[2], [1, 5]] | sort, 'hello' | sort, d | sort
[1, 2, 1, 3] | unique | list, ss | unique | list, ['a', 'A'] | unique(true) | list, users | unique(attribute='age') | map(attribute='name') | list, [1, 1.0, true] | unique | list
users | map(attribute='name') | list, users | map(attribute='tags') | list, users[:2] | map(attribute='tags.0') | list, ss | map('upper') | list, users | map(attribute='zip', default='-') | list, [' a '] | map('trim') | list, ['a-b'] | map('replace', '-', '+') | list, [[1, 2], [3]] | map('join', ',') | list, [[1]] | map('first') | list
xs | select('odd') | list, xs | reject('odd') | list, mixed | select | list, mixed | reject | list, xs | select('gt', 1) | list, xs | select('in', [1, 2]) | list, mixed | select('string') | list
users | selectattr('tags') | map(attribute='name') | list, users | selectattr('age', 'eq', 30) | map(attribute='name') | list, users | rejectattr('age', 'equalto', 30) | map(attribute='name') | list, users | selectattr('tags', 'defined') | list | length, users | rejectattr('tags') | list | length
d | items | list, d | dictsort, d | dictsort(true), d | dictsort(false, 'value'), d | dictsort(by='value', reverse=true), missing | items | list
lines | indent, lines | indent(2), lines | indent(2, true), lines | indent(2, true, true), lines | indent('> ', blank=true), 'x' | indent(3, first=true), '' | indent, 'a\n' | indent ~ '|', '' | indent(2, true)
xs | min, xs | max, ss | min, ss | max, ss | max(case_sensitive=true), users | min(attribute='age'), [] | max, xs | sum, users | sum(attribute='age'), users | sum('age', 100), [] | sum, [[1], [2]] | sum(start=[]), [0.5, 1] | sum
range(5) | batch(2) | list, range(5) | batch(2, 'x') | list, [] | batch(3) | list
d | tojson, mixed | tojson, s | tojson, none | tojson, true | tojson, 1.5 | tojson, 1e22 | tojson, '<a href="x">&\'' | tojson, 'é端\n\t\x01\x7f' | tojson, {'a': (1, 2)} | tojson, [] | tojson, {} | tojson
d | tojson(indent=2), nested | tojson(indent=4), [] | tojson(indent=2), [[], {}, [1]] | tojson(indent=1), d | tojson(indent='\t'), d | tojson(indent=0), 1 | tojson(indent=2)
d | tojson(sort_keys=true), u | tojson(ensure_ascii=true), '\U0001f600' | tojson(true), d | tojson(separators=(',', ':')), {1: 2, none: 3, true: 4, 1.5: 5} | tojson, d | tojson(false, 2)
('x' | safe) == 'x', '<b>' | safe | length, ('<' | safe) | tojson
xs | map('string') | join('+'), s | lower | replace(' ', '_') | upper, (xs | length) * 2, xs | length * 2
xs | sort | first, -5 | abs + 1, 2 * 3 | string ~ 'x', not xs | length == 3
users[0].name, users[-1]['name'], users[0]['tags'][0], users[1].tags[0], users[5], users[0].nope
'%s' is string, s.upper is defined, s.nope is defined, s['upper'] is defined, xs.nope is defined, n.nope is defined
t + 1, t * 2, true + true, -true
('a', 'b') | join, {'a': 1}.items() | list | first | first
[1, 2, 3,], {'a': 1,}, (1, 2,)
x is defined and x, x if x is defined else 'none'
nested.k['items'] | length, nested.k.get('items'), nested.k.items() | list
'a' if missing else 'b', missing if true, (missing if true) is defined
{'a': [1, 2]}.a | last, {'items': 5}['items'], {'items': 5}.items() | list, {'get': 1}['get'], {}['items'] is defined
z ~ z, z == none, z | string | length, none is none
1.5 | string, 100000000000000000000.0, 1e15, 123456.789e3, 5e-324, 1.7976931348623157e308
9223372036854775807, -9223372036854775807 - 1
'\101\x41\u0041\n\z\
x', '\'', "\"", 'a\\nb'
xs[missing] is defined, xs['a'] is defined, xs[1.0] is defined, xs[true], n[0] is defined, z[0] is defined, s['x'] is defined, d[[1]] is defined
'abc'[::2], 'é端xyz'[::-2], 'abc'[1:][0], 'abc'[true:], xs[none:2], xs[5:1], xs[-100:100]
(1, [2, (3,)], {'k': (4,)}) | string, [[], [[]]] | string
'a' is in 'abc', 'a' is in ['a'], 'k' is in {'k': 1}
loop is defined, caller is defined
"a" < "B", "é" > "z", '' < 'a'
ss | map('lower') | unique | sort | join(' '), xs | map('float') | list, xs | map('string') | map('int') | sum
users | map(attribute='name') | map('lower') | select('ne', 'bob') | list
(xs | map('abs')) | first, [1, 2] | reverse | join
1.0 == 1, 1 is eq 1.0, 0.0 == -0.0, 'nan' | float == 'nan' | float
7 // 2.0, 1e308 * 10, -1e308 * 10, 3.0 ** 2, 4 ** 0.5, 0 ** 0, 0.0 ** 0
"x" * 3 ~ "y", 1 ~ (2 + 3), (1 + 2) ~ 3, missing | last
d == {'a': 2, 'b': 1, 'C': 3}, d != {}, [d] == [d], range(3) == range(0, 3), xs == [3, 1, 2]
"\u00e9" == 'é', 'Ⅷ'.lower(), 'ⅷ'.upper(), 'ı'.upper(), 'İ'.lower() | length
(1,)[0], (1,)[5] is defined, ()[0:1], [][:1]
"a\tb\x0bc d".split(), 'x\x1cy'.split(), 'x\x85y'.splitlines(), 'a\u2028b'.splitlines()
"abc" | first | upper, "" | first, "" | first is defined, "" | last is defined
5 in [5.0], "5" in [5], none in [none], [1] in [[1]], true in [1]
"a,b" | replace(",", "") | length, "x" | default("y") | upper
"{}" | length, "}}" ~ "{{", {"}}": 1}["}}"]
"""

STATEMENTS = r"""
{% for x in xs %}{{ x }}{% endfor %}
{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }};{% endfor %}
{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}
{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{{ loop.cycle('a', 'b') }}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}
{% for x in [] %}x{% else %}empty{% endfor %}
{% for x in xs %}{{ x }}{% else %}empty{% endfor %}
{% for x in missing %}x{% else %}empty{% endfor %}
{% for x in xs if x > 1 %}{{ x }}{{ loop.index }}/{{ loop.length }}{{ loop.last }};{% else %}none{% endfor %}
{% for x in xs if x > 5 %}{{ x }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d | items %}{{ k }}={{ v }};{{ loop.last }}{% endfor %}
{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for (a,) in [[1], [2]] %}{{ a }}{% endfor %}
{% for a, in [[1], [2]] %}{{ a }}{% endfor %}
{% for c in 'é端' %}[{{ c }}]{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for i in range(3) %}{% for j in range(i) %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}
{% for x in 1, 2, 3 %}{{ x }}{% endfor %}
{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in xs %}{% break %}{% else %}else{% endfor %}
{% for x in xs %}{% continue %}{% else %}else{% endfor %}
{% for x in xs %}{% if loop.last %}{% break %}{% endif %}{{ x }}{% else %}else{% endfor %}
{% for x in xs %}{% for y in xs %}{% if y == x %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}
{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(x=1) %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}
{% set ns = namespace(last=0) %}{% for i in [1, 2, 2, 3, 3] if i != ns.last %}{{ i }}{% set ns.last = i %}{% endfor %}
{% set ns = namespace(last=0) %}{% for i in [1, 2, 2, 3, 3] if i != ns.last %}{{ i }}{{ loop.last }}{% set ns.last = i %}{% endfor %}
{% if true %}{% set x = 1 %}{% endif %}{{ x }}
{% if false %}{% set x = 1 %}{% endif %}{{ x is defined }}
{% for i in xs %}{% if i == 1 %}{% set q = i %}{% endif %}{{ q is defined }}{% endfor %}{{ q is defined }}
{% set n = 9 %}{{ n }}
{% for n in xs %}{% endfor %}{{ n }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = 'xy' %}{{ a }}{{ b }}
{% set (a, b) = [1, 2] %}{{ b }}
{% set t2 = 1, 2 %}{{ t2 }}
{% set x %}a{{ n }}b{% endset %}[{{ x }}]{{ x is string }}
{% set x | upper | trim %} abc {% endset %}[{{ x }}]
{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}
{% set ns = namespace() %}{% set ns.a %}body{% endset %}{{ ns.a }}
{% set ns = namespace(a=1) %}{% set ns.a, b = 5, 6 %}{{ ns.a }}{{ b }}
{% if 0 %}a{% elif '' %}b{% elif [] %}c{% else %}d{% endif %}
{% if 1 %}a{% elif true %}b{% endif %}
{% if xs and s %}{{ xs[0] }}{% endif %}
{% if missing %}x{% else %}y{% endif %}
{% if 1, %}tuple{% endif %}
{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(c=5, a=4) }}{{ m() }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(7) }}
{% macro m() %}{{ n }}{{ later }}{% endmacro %}{% set later = 'L' %}{{ m() }}
{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(3) }}
{% macro m() %}x{% endmacro %}{{ m() | upper }}{{ m() is string }}{{ m() ~ m() }}{{ m is callable }}
{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}
{% macro m(x) %}{% set x = x + 1 %}{{ x }}{% endmacro %}{% set x = 10 %}{{ m(1) }}{{ x }}
{% for i in xs %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}
{% macro box() %}<{{ caller() }}>{% endmacro %}{% call box() %}in{{ n }}{% endcall %}
{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) each(xs) %}({{ x }}){% endcall %}
{% macro m() %}{{ caller is defined }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ m() }}{% call m() %}c{% endcall %}
{% filter upper %}a{{ s }}{% endfilter %}
{% filter replace('l', 'L') | trim %}  hello {% endfilter %}|
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}
{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% generation %}a{{ n }}{% endgeneration %}b
{% for x in xs %}{% generation %}{{ x }}{{ loop.index }}{% set w = 1 %}{% endgeneration %}{{ w is defined }}{% endfor %}
{{ '<b>' | safe }}{{ 5 | safe }}{{ d | tojson | safe }}
{% print 1, 2 %}{% print s %}
{{ raise_exception('no') }}
{% if false %}{{ raise_exception('no') }}{% endif %}ok
{% for u in users %}{{ u.name }}{% if u.tags is defined and u.tags %}+{% endif %}{% if not loop.last %}, {% endif %}{% endfor %}
{% for u in users | selectattr('age', 'eq', 30) %}{{ loop.index }}{{ u.name }}{{ loop.length }}{% endfor %}
{% for u in users | sort(attribute='name') %}{{ u.name }} {% endfor %}
{% for u in users[::-1] %}{{ loop.index0 }}{{ u.name }} {% endfor %}
{% for u in users | reverse %}{{ u.name }}{{ loop.revindex }} {% endfor %}
{% for i in range(3) | map('string') %}{{ i }}{{ loop.last }}{% endfor %}
{% set g = xs | map('string') %}{{ g | list }}{{ g | list }}
{% set g = xs | select %}{{ g | first }}{{ g | list }}
{% set ns = namespace(f=none) %}{% macro m() %}M{% endmacro %}{% set ns.f = m %}{% set f = ns.f %}{{ f() }}
{% set up = s.upper %}{{ up() }}
{% set message = users[0] %}{% for message in users %}{{ message.name }}{% endfor %}{{ message.name }}
{% for m in users %}{% if (m.age == 30) and (loop.first or users[loop.index0 - 1].age != 30) %}{{ m.name }}{% endif %}{% endfor %}
{% for x in xs %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for x in [[1, 2], [3]] %}{% for y in x %}{{ loop.length }}{{ y }}{% else %}e{% endfor %}{% endfor %}
{% for x in [[]] %}{% for y in x %}n{% else %}e{{ loop.index }}{% endfor %}{% endfor %}
{{ users | map(attribute='name') | join(', ') if users else 'nobody' }}
{%- for k, v in {'a': 1, 'b': {'c': 2}} | dictsort %}{{ k }}:{{ v }} {% endfor -%}
{% set d2 = dict(d, z=1) %}{{ d2 }}{{ d }}
{% if users is iterable and users is not string and users is not mapping %}list{% endif %}
{% for x in xs %}{{ x }}{{ ',' if not loop.last }}{% endfor %}
{% for x in 'abc' %}{{ loop.nextitem | default('END') }}{% endfor %}
{{ users[0] | tojson }}{{ users | tojson(indent=2) }}
{% set x = {'role': 'user', 'content': [{'type': 'text', 'text': 'hi'}]} %}{{ x.content[0].text }}{{ x.content[0]['type'] }}
"""

ERRORS = r"""
{{ missing.attr }}
{{ missing['x'] }}
{{ missing[0] }}
{{ d.missing.more }}
{{ missing() }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ missing < 1 }}
{{ -missing }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (1,) }}
{{ 'a' - 'b' }}
{{ 'a' * 'b' }}
{{ 'a' * 1.5 }}
{{ none + 1 }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ [1] < [none] }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ 0 ** -1 }}
{{ 1 in 5 }}
{{ 1 in 'a' }}
{{ 5 | length }}
{{ none | length }}
{{ xs | map('upper') | length }}
{{ 5 | list }}
{{ none | join }}
{{ 5 | first }}
{{ 'x' | abs }}
{{ none | abs }}
{{ 'x' | round }}
{{ 1.5 | round(1, 'up') }}
{{ [1, 'a'] | sort }}
{{ [none, 1] | min }}
{{ ['a'] | sum }}
{{ [[1], [2]] | sum }}
{{ [[1]] | unique | list }}
{{ 5 | items }}{{ 5 | items | list }}
{{ xs | dictsort }}
{{ missing | tojson }}
{{ range(3) | tojson }}
{{ s.upper | tojson }}
{{ {(1, 2): 3} | tojson }}
{{ namespace() | tojson }}
{{ {[1]: 2} }}
{{ d.get([1]) }}
{{ [1] in d }}
{{ xs[1:2:0] }}
{{ xs['a':] }}
{{ d[1:] }}
{{ z[1:] }}
{{ missing[1:] }}
{{ s.split('') }}
{{ s.split(1) }}
{{ s.strip(1) }}
{{ s.startswith(1) }}
{{ s.startswith(['H']) }}
{{ s.replace('a') }}
{{ s.upper(1) }}
{{ ','.join([1]) }}
{{ ','.join(5) }}
{{ [1].index(2) }}
{{ [1].append(2) }}
{{ d.update({}) }}
{{ d.pop('a') }}
{{ d.nope() }}
{{ s.nope }}{{ s.nope() }}
{{ n() }}
{{ 'x'() }}
{{ users[0].name() }}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{% for a, b in d %}{% endfor %}
{% set a, b = [1] %}
{% set a, b = 5 %}
{% set n.x = 1 %}
{% set d.x = 1 %}
{% set missing.x = 1 %}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}
{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}
{{ range() }}
{{ range(1.5) }}
{{ range('a') }}
{{ range(1, 2, 0) }}
{{ range(1000000) }}
{{ raise_exception('x') }}
{{ dict(1) }}
{{ namespace(1) }}
{{ xs | map | list }}
{{ xs | map('nope') | list }}
{{ xs | select('nope') | list }}
{{ users | selectattr | list }}
{{ users | map(attribute='tags.0.x') | list }}
{{ xs | join(1, 2, 3) }}
{{ s | upper(1) }}
{{ s | replace('a') }}
{{ n is divisibleby }}
{{ 'a' is odd }}
{{ n is divisibleby 0 }}
{{ n is defined(1) }}
{{ n | nope }}
{{ n is nope }}
{{ n is }}
{% nope %}
{% if %}
{% if x %}
{% endif %}
{% if x %}{% endfor %}
{% for x in xs %}{% endif %}
{% for %}{% endfor %}
{% for x xs %}{% endfor %}
{% for x in %}{% endfor %}
{% for loop in xs %}{% endfor %}
{% for true in xs %}{% endfor %}
{% set true = 1 %}
{% set 1 = 1 %}
{% set x %}
{% set x = %}
{% set = 1 %}
{% macro %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m() %}
{% break %}
{% continue %}
{% if true %}{% break %}{% endif %}
{{ }}
{{ 1 2 }}
{{ 1 + }}
{{ (1 }}
{{ 1) }}
{{ [1 }}
{{ {1} }}
{{ {1: } }}
{{ 'abc }}
{{ x
{% if x
{# comment
{% raw %} x
{{ a.1b }}
{{ a. }}
{{ a[] }}
{{ a[1:2:3:4] }}
{{ f(a=1, 2) }}
{{ f(,) }}
{{ x | }}
{{ x is is }}
{{ 1 if }}
{{ not }}
{{ @ }}
{{ a ? b }}
{{ a && b }}
{{ a = b }}
{{ 'a' if 1 else }}
{% if a %}{% else %}{% else %}{% endif %}
{% if a if b else c %}{% endif %}
{% for x in xs recursive if x %}{% endfor %}
{{ loop.index }}
{{ '\x4' }}
{% else %}
{% elif x %}
{% endfor %}
{{ 5 is in 5 }}
{{ xs is in d }}
{{ '1' | int(base=1) + 'x' }}
{{ 'inf' | float | int }}
{{ missing | int }}
{{ missing | float }}
{{ xs[d] + 1 }}
{{ "a" is divisibleby 2 }}
{{ lines | indent('a', 'b', 'c', 'd') }}
{{ 5 | indent }}
{{ xs | batch(2, 3, 4) | list }}
"""


def unescape_newlines(line):
    # In WHITESPACE \n, \t, \r and \u00a0 stand for the characters themselves.
    return line.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\u00a0", "\u00a0")


def sources():
    for line in WHITESPACE.strip("\n").split("\n"):
        yield unescape_newlines(line), {}
    for line in EXPRESSIONS.strip("\n").replace("\\\nx'", "\\\0x'").split("\n"):
        yield "{{ " + line.replace("\0", "\n") + " }}", CONTEXT
    for line in STATEMENTS.strip("\n").split("\n"):
        yield line, CONTEXT
    for line in ERRORS.strip("\n").split("\n"):
        yield line, CONTEXT


def used(source, context):
    return {key: value for key, value in context.items() if key in source}


def main():
    env = environment()
    rendered, errors = 0, 0
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for source, context in sources():
            case = {"source": source, "context": used(source, context)}
            try:
                case["rendered"] = env.from_string(source).render(**case["context"])
                rendered += 1
                if " object at 0x" in case["rendered"] or "<generator" in case["rendered"]:
                    raise SystemExit(f"prints an address: {source}")
            except Exception as error:
                case["error"] = True
                errors += 1
                if source.startswith("{{ ") and source[3:-3] in EXPRESSIONS:
                    print(f"note: {source}: {error}", file=sys.stderr)
            out.write(json.dumps(case, ensure_ascii=False) + "\n")
    print(f"{rendered} rendered, {errors} errors")


main()
