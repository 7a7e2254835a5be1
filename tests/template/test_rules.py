"""The platform's rules of rendering, with inputs of other kinds than those its own code was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cozeloop_magic.entities.prompt import ContentPart, Message, Prompt, PromptTemplate, VariableDef
from cozeloop_magic.entities.variables import VariableVal
from cozeloop_magic.errors import RemoteError
from cozeloop_magic.template.addresses import is_data_uri, is_url
from cozeloop_magic.template.render import render

INVALID, PARSE, RENDER = 600500202, 600501004, 600501005


def outcome(template, values, kind="jinja2"):
    """Render a text; each value is a pair of its declared type, None for none, and what travels."""
    defs = [VariableDef(key, type=type_) for key, (type_, _) in values.items() if type_ is not None]
    prompt = Prompt("k", "1.0.0", prompt_template=PromptTemplate(kind, [Message("user", template)], defs))
    try:
        sent = [VariableVal(key, text) for key, (_, text) in values.items()]
        return render(prompt, sent, []).messages[0].content
    except RemoteError as error:
        return error.code


OBJECT = '{"b":{"z":1,"a":[2,{"y":1,"x":"é"}]},"a":-0.5,"big":1e21,"no":false,"nothing":null,"text":"{{ a }}"}'


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        # numbers: floats in objects and arrays of objects, at every depth; integers stay integers elsewhere
        ("{{ o.b.z }}|{{ o.b.a[0] }}|{{ o.a }}", {"o": ("object", OBJECT)}, "1.0|2.0|-0.5"),
        ("{{ o.big }}|{{ o.big > 1 }}", {"o": ("object", OBJECT)}, "1e+21|True"),
        ("{{ l[0].n }}", {"l": ("array<object>", '[{"n":7}]')}, "7.0"),
        ("{{ o.n + 1 }}|{{ o.n == 1 }}|{{ o.n|int }}", {"o": ("object", '{"n":1}')}, "2.0|True|1"),
        ("{{ l[1] }}", {"l": ("array<integer>", "[1, 9007199254740993]")}, "9007199254740993"),
        ("{{ i }}", {"i": ("integer", "-9223372036854775808")}, "-9223372036854775808"),
        ("{{ i }}", {"i": ("integer", "9223372036854775808")}, INVALID),
        ("{{ i }}", {"i": ("integer", "+5")}, "5"),
        ("{{ i }}", {"i": ("integer", "5 ")}, INVALID),
        ("{{ i }}", {"i": ("integer", "")}, ""),
        ("{{ f }}", {"f": ("float", "-1e-3")}, "-0.001"),
        ("{{ f }}", {"f": ("float", "5")}, "5.0"),
        ("{{ f }}", {"f": ("float", "-Infinity")}, "-Inf"),
        ("{{ f }}", {"f": ("float", "1,5")}, INVALID),
        ("{{ l }}", {"l": ("array<float>", "[1, 2.5, -0.0]")}, "[1.0, 2.5, -0.0]"),
        # null: prints as nothing, and is the type's zero in an array of one type
        ("<{{ o.nothing }}>{{ o.nothing is none }}", {"o": ("object", OBJECT)}, "<>True"),
        ("{{ l }}", {"l": ("array<integer>", "[null, 1, null]")}, "[0, 1, 0]"),
        ("{{ l }}", {"l": ("array<boolean>", "[true, null]")}, "[True, False]"),
        ("<{{ o }}>{{ o is defined }}", {"o": ("object", "null")}, "<>False"),
        ("{{ o.missing }}|{{ o.missing is defined }}", {"o": ("object", "{}")}, "|False"),
        ("{{ o.missing.deeper }}", {"o": ("object", "{}")}, RENDER),
        # keys before methods, in both spellings
        ("{{ o.items }}|{{ o.pop }}|{{ o['get'] }}", {"o": ("object", '{"items":"I","pop":"P","get":"G"}')}, "I|P|G"),
        ("{% for x in o.items %}{{ x }}{% endfor %}", {"o": ("object", '{"items":["a","b"]}')}, "ab"),
        ("{{ o.copy.update }}", {"o": ("object", '{"copy":{"update":"deep"}}')}, "deep"),
        # printing and loops go by sorted keys, whatever the order they came in
        ("{{ o }}", {"o": ("object", '{"z":"1","a":{"d":"2","c":[]}}')}, "{'a': {'c': [], 'd': '2'}, 'z': '1'}"),
        ("{% for k in o %}{{ k }}{% endfor %}", {"o": ("object", '{"b":1,"B":1,"a":1,"é":1,"1":1}')}, "1Babé"),
        ("{% for k, v in o %}{{ k }}={{ v }};{% endfor %}", {"o": ("object", '{"b":1,"a":true}')}, "a=True;b=1.0;"),
        ("{% for k, v in o.items() %}{{ k }}{% endfor %}", {"o": ("object", '{"b":1,"a":2}')}, "ab"),
        ("{% for k in o.b %}{{ k }}{% endfor %}", {"o": ("object", OBJECT)}, "az"),
        # tojson: no blanks, sorted, characters as they are
        ("{{ o.b|tojson }}", {"o": ("object", OBJECT)}, '{"a":[2,{"x":"é","y":1}],"z":1}'),
        ("{{ s|tojson }}", {"s": ("string", '日本 "q" \\ \n\t')}, '"日本 \\"q\\" \\\\ \\n\\t"'),
        ("{{ s|tojson }}", {"s": ("string", "<&>\u2028")}, '"\\u003c\\u0026\\u003e\\u2028"'),
        ("{{ o|tojson }}", {"o": ("object", '{"s":0.00001,"t":1e-7,"u":123456789.5}')},
         '{"s":0.00001,"t":1e-7,"u":123456789.5}'),
        ("{{ s|tojson }}", {"s": ("string", "1.5e-05 and \\\" 2e-05")}, '"1.5e-05 and \\\\\\" 2e-05"'),
        ("{{ f|tojson }}", {"f": ("float", "inf")}, RENDER),
        ("{{ nothing|tojson }}|{{ []|tojson }}|{{ {}|tojson }}", {}, "null|[]|{}"),
        # booleans are true for `true` alone, without an error
        ("{{ b }}{% if b %}T{% endif %}", {"b": ("boolean", "true ")}, "False"),
        ("{{ b }}{% if b %}T{% endif %}", {"b": ("boolean", "1")}, "False"),
        ("{{ b is defined }}", {"b": ("boolean", "")}, "False"),
        ("{{ l }}", {"l": ("array<boolean>", "[false, true]")}, "[False, True]"),
        ("{{ l }}", {"l": ("array<boolean>", '["yes"]')}, INVALID),
        # undeclared variables are undefined, whatever is sent
        ("<{{ x }}>{{ x is defined }}", {"x": (None, "sent")}, "<>False"),
        ("{{ x.y }}", {"x": (None, '{"y":1}')}, RENDER),
        ("{% if x %}T{% else %}F{% endif %}", {"x": (None, "sent")}, "F"),
        # what is not of its type
        ("{{ o }}", {"o": ("object", "{'a':1}")}, INVALID),
        ("{{ l }}", {"l": ("array<string>", "[1]")}, INVALID),
        ("{{ l }}", {"l": ("array<integer>", '["1"]')}, INVALID),
        ("{{ o }}", {"o": ("object", '{"a":1e400}')}, INVALID),
        # values are text, not templates; other scripts are text
        ("{{ o.text }}", {"o": ("object", OBJECT)}, "{{ a }}"),
        ("{{ 名 }}|{{ 名|length }}|{{ 名|upper }}", {"名": ("string", "héé😀")}, "héé😀|4|HÉÉ😀"),
        ("{{ o['키'] }}", {"o": ("object", '{"키":"값"}')}, "값"),
        ("{% for c in s %}{{ c }}.{% endfor %}", {"s": ("string", "é😀")}, "é.😀."),
        # lists are lists: never a generator, a view or a function of Python's, with its address
        ("{{ l|map('upper') }}{{ l|select }}{{ l|unique }}{{ l|reverse }}", {"l": ("array<string>", '["a","b"]')},
         "['A', 'B']['a', 'b']['a', 'b']['b', 'a']"),
        ("{{ l|batch(1) }}{{ l|reject('eq', 'a')|length }}", {"l": ("array<string>", '["a","b"]')},
         "[['a'], ['b']]1"),
        ("{{ o.keys() }}{{ o.values() }}{{ o|items }}", {"o": ("object", '{"b":"x","a":1}')},
         "['a', 'b'][1.0, 'x'][['a', 1.0], ['b', 'x']]"),
        ("{{ o.items }}", {"o": ("object", "{}")}, RENDER),
        ("{{ s.upper }}", {"s": ("string", "x")}, RENDER),
        ("{{ range }}{{ dict }}", {}, RENDER),
        ("{{ namespace(a=1) }}", {}, "{'a': 1}"),
        # codes: what cannot be parsed, what cannot be rendered
        ("{% for %}", {}, PARSE),
        ("{{ 'a' 'b' }}", {}, PARSE),
        ("{% from 'x' import y %}", {}, PARSE),
        ("{{ x|nosuchfilter }}", {"x": ("string", "a")}, RENDER),
        ("{{ missing() }}", {}, RENDER),
    ],
)  # fmt: skip
def test_jinja2(template, values, expected):
    assert outcome(template, values) == expected


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("{{a}}{{b}}{{a}}", {"a": ("string", "{{b}}"), "b": ("string", "2")}, "{{b}}2{{b}}"),
        ("{{o}}", {"o": ("object", '{"b":1, "a":[]}')}, '{"b":1, "a":[]}'),
        ("{{n}}", {"n": ("integer", "not a number")}, "not a number"),
        ("<{{a}}>", {"a": ("string", "")}, "<>"),
        ("{{x}}", {"x": (None, "sent")}, "{{x}}"),
        ("{{ a }}{{a}}", {"a": ("string", "1")}, "{{ a }}1"),
        ("{{a.b}}{{a|upper}}{%if a%}", {"a": ("string", "1")}, "{{a.b}}{{a|upper}}{%if a%}"),
        ("{{变量}}", {"变量": ("string", "值")}, "值"),
        ("{{a}", {"a": ("string", "1")}, "{{a}"),
        ("{{{a}}}{{a}}", {"a": ("string", "1")}, "{{{a}}}1"),
        ("$1 \\1 {{a}}", {"a": ("string", "\\g<0> $0")}, "$1 \\1 \\g<0> $0"),
    ],
)
def test_normal(template, values, expected):
    assert outcome(template, values, "normal") == expected


@pytest.mark.parametrize(
    ("url", "passes"),
    [
        ("http://localhost:8080/a?b=c#d", True),
        ("https://192.168.0.1/x", True),
        ("https://例え.jp/画像.png", True),
        ("https://a.com/?q=a%20b", True),
        ("https://a.com/100%", False),
        ("https://a.com/a?100%", True),
        ("https://a.com/a?b#100%", False),
        ("https://a.com/\x7f", False),
        ("https://a..com/x", False),
        ("https:///x", False),
        ("http://a.com/x\n", False),
        ("javascript:alert(1)", False),
        ("data:image/png;base64,AA==", False),
        ("/local/path.png", False),
    ],
)
def test_urls(url, passes):
    assert is_url(url) is passes


@pytest.mark.parametrize(
    ("uri", "passes"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", True),
        ("data:image/png;base64,iVBORw0KGgo", False),
        ("data:;base64,AA==", True),
        ("data:text/plain;charset=utf-8,a%20b", True),
        ("data:image/png;base64,AA==\n", True),
        ("data:text/plain,100%", False),
        ("data:text/plain,é", False),
        ("data:image/png;base64,AA=-", False),
        ("DATA:image/png;base64,AA==", False),
        ("data:image/png;base64", False),
        (" data:,x", False),
    ],
)
def test_data_uris(uri, passes):
    assert is_data_uri(uri) is passes


def test_an_address_is_checked_wherever_it_comes_from():
    prompt = Prompt("k", "1.0.0", prompt_template=PromptTemplate(
        "normal", [Message("user", parts=[ContentPart("multi_part_variable", "m")]), Message("placeholder", "p")],
        [VariableDef("m", type="multi_part"), VariableDef("p", type="placeholder")],
    ))  # fmt: skip
    bad, unused = ContentPart("image_url", image_url="file:///etc/passwd"), VariableVal("unused")
    for values, messages in (
        ([VariableVal("m", multi_part_values=[bad])], []),
        ([VariableVal("p", placeholder_messages=[Message("user", parts=[bad])])], []),
        ([], [Message("assistant", parts=[bad])]),
        ([replace(unused, multi_part_values=[bad])], []),
        ([replace(unused, multi_part_values=[ContentPart("base64_data")])], []),
        ([], [Message("user", parts=[ContentPart("image_url")])]),
        ([], [Message("tool", parts=[ContentPart("base64_data", base64_data="")])]),
    ):
        with pytest.raises(RemoteError) as caught:
            render(prompt, values, messages)
        assert caught.value.code == INVALID
