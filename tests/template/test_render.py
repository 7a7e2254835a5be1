"""How a prompt is rendered: the server's rules, one by one."""

from __future__ import annotations

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cozeloop_magic.entities.prompt import ContentPart, Message, Prompt, PromptTemplate, VariableDef
from cozeloop_magic.entities.variables import VariableVal, encode_all
from cozeloop_magic.errors import BadRequest, RemoteError, TemplateFailed
from cozeloop_magic.template import jinja
from cozeloop_magic.template import render as template

INVALID_PARAMETER, PARSE_FAILED, RENDER_FAILED = 600500202, 600501004, 600501005
DOUBLED = "{%% set n = namespace(x='ab') %%}{%% for i in range(40) %%}%s{%% endfor %%}"


def a_prompt(*messages, kind="normal", **types):
    defs = [
        VariableDef(key, type=type_.replace("_of_", "<") + (">" if "_of_" in type_ else ""))
        for key, type_ in types.items()
    ]
    return Prompt("key", "0.0.1", prompt_template=PromptTemplate(kind, messages, defs))


def rendered(text, *, kind="normal", values=None, **types):
    """Render one user message and give its text."""
    prompt = a_prompt(Message("user", text), kind=kind, **types)
    return template.render(prompt, encode_all(values or {}), []).messages[0].content


def refused(code, text, **kwargs):
    with pytest.raises(RemoteError) as caught:
        rendered(text, **kwargs)
    assert caught.value.code == code
    return str(caught.value)


class TestNormalTemplates:
    def test_a_declared_variable_is_replaced_wherever_it_stands(self):
        assert rendered("{{a}} and {{a}}", a="string", values={"a": "x"}) == "x and x"

    def test_without_a_value_it_is_replaced_by_nothing(self):
        assert rendered("<{{a}}>", a="string") == "<>"

    def test_an_undeclared_variable_stays_as_written_even_with_a_value(self):
        assert rendered("{{b}}", a="string", values={"b": "x"}) == "{{b}}"

    @pytest.mark.parametrize("text", ["{{ a }}", "{{a", "{a}", "{{}}", "}}{{", "{% if a %}"])
    def test_nothing_else_means_anything(self, text):
        assert rendered(text, a="string", values={"a": "x"}) == text

    def test_a_tag_may_span_lines(self):
        assert rendered("{{a\nb}}c", a="string", values={"a\nb": "x"}) == "{{a\nb}}c"

    def test_values_are_not_rendered_again(self):
        assert rendered("{{a}}", a="string", b="string", values={"a": "{{b}}", "b": "x"}) == "{{b}}"

    def test_numbers_and_lists_appear_as_the_text_that_was_sent(self):
        assert rendered("{{a}}", a="array_of_string", values={"a": ["x", 1]}) == '["x", 1]'

    @given(st.text())
    def test_text_without_braces_is_never_changed(self, text):
        text = text.replace("{{", "")
        assert rendered(text or "-", a="string", values={"a": "x"}) == (text or "-")


class TestJinja2Templates:
    def test_values_have_their_declared_types(self):
        text = "{{ p.topic }} {{ n + 1 }} {{ f * 2 }} {{ b }} {% for item in items %}{{ item }};{% endfor %}"
        values = {"p": {"topic": "AI"}, "n": 1, "f": 0.5, "b": True, "items": ["x", "y"]}
        types = {"p": "object", "n": "integer", "f": "float", "b": "boolean", "items": "array_of_string"}
        assert rendered(text, kind="jinja2", values=values, **types) == "AI 2 1.0 True x;y;"

    def test_an_absent_or_empty_value_is_undefined(self):
        assert (
            rendered("<{{ a }}{{ b is defined }}>", kind="jinja2", values={"a": ""}, a="object", b="string")
            == "<False>"
        )

    def test_an_undeclared_value_is_undefined(self):
        assert rendered("<{{ a }}>", kind="jinja2", values={"a": "x"}) == "<>"

    @pytest.mark.parametrize(
        ("type_", "value"),
        [("integer", "1.5"), ("integer", "many"), ("float", "1e400"), ("object", "{"), ("array_of_integer", '["x"]')],
    )
    def test_a_value_that_is_not_of_its_type_is_named(self, type_, value):
        text = refused(INVALID_PARAMETER, "{{ a }}", kind="jinja2", values={"a": value}, a=type_)
        assert "Variable a" in text and type_.split("_")[0] in text and value in text

    @pytest.mark.parametrize(
        "text",
        [
            "{% include 'x' %}",
            "{% extends 'x' %}",
            "{% import 'x' as y %}",
            "{% from 'x' import y %}",
            "{{ open",
            "{% for %}",
        ],
    )
    def test_what_reads_other_templates_or_is_no_template_does_not_parse(self, text):
        refused(PARSE_FAILED, text, kind="jinja2")

    @pytest.mark.parametrize(
        "text",
        [
            "{{ ''.__class__.__mro__ }}",
            "{{ [].append(1) }}",
            "{{ missing.attribute }}",
            "{{ 1 // 0 }}",
            "{{ [] + 1 }}",
            "{{ 'World'.replace('o', '0') }}",
            "{{ [1]|count }}",
        ],
    )
    def test_what_leaves_the_sandbox_or_fails_is_a_render_error(self, text):
        refused(RENDER_FAILED, text, kind="jinja2")

    def test_loops_macros_and_joined_text_work_inside_the_limits(self):
        macro = "{% macro m(x) %}[{{ x ~ 1 }}]{% endmacro %}"
        loop = "{% for i in range(3) if i %}{{ m(i) }}{{ loop.index }}{% endfor %}"
        assert rendered(macro + loop, kind="jinja2") == "[11]1[21]2"


class TestJinja2Limits:
    @pytest.fixture
    def short_time(self, monkeypatch):
        monkeypatch.setattr(jinja, "MAX_SECONDS", 0.2)

    @pytest.mark.parametrize(
        "text",
        [
            "{% for i in range(10000) %}{% for k in range(10000) %}{% endfor %}{% endfor %}",
            "{% for i in range(10000) if range(10000) | select('divisibleby', 3) | list | length == 0 %}{% endfor %}",
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        ],
        ids=["loops", "a loop that skips all", "recursion"],
    )
    def test_a_render_really_stops_when_its_time_is_over(self, short_time, text):
        assert "longer than 0.2 s" in refused(RENDER_FAILED, text, kind="jinja2")  # of the hours it would take

    @pytest.mark.parametrize(
        "text",
        [
            "{% for i in range(2000) %}{{ '0123456789' * 100 }}{% endfor %}",
            "{{ 'x' * 1000000000 }}",
            DOUBLED % "{% set n.x = n.x ~ n.x %}",
            DOUBLED % "{% set n.x = n.x + n.x %}",
        ],
        ids=["output", "a product", "joined", "added"],
    )
    def test_text_ends_at_1_mb(self, text):
        assert "1 MB" in refused(RENDER_FAILED, text, kind="jinja2")

    @pytest.mark.parametrize(
        "text",
        [
            "{{ ([range(10000)]*100000*2)|map('sum')|sum }}",
            "{{ '%200000000d' % 1 }}",
            "{{ '{:200000000d}'.format(1) }}",
            "{{ ('a'*1000000)|replace('a','b'*1000000)|length }}",
            "{{ 'x'|center(10**9) }}{{ 'x'.ljust(10**9) }}",
            "{{ 5|round(-10**9) }}{{ (1).to_bytes(10**9, 'big') }}",
            "{% set n = namespace(x='ab') %}{% for i in range(40) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
            "{{ n % 1 }}",
        ],
    )
    def test_one_vast_step_ends_too(self, monkeypatch, text):
        monkeypatch.setattr(jinja, "MAX_SECONDS", 1.0)
        before = psutil.Process().memory_info().rss
        refused(RENDER_FAILED, text, kind="jinja2", values={"n": "%200000000d"}, n="string")
        assert psutil.Process().memory_info().rss - before < 50_000_000

    @pytest.mark.parametrize("step", ["x|join('0123456789')", "x|tojson", "x ~ x"])
    def test_what_grows_in_a_loop_ends_at_1_mb_without_a_process(self, monkeypatch, step):
        monkeypatch.setattr(jinja, "_rendered_apart", None)
        text = "{% set x = '<>' %}" + f"{{% set x = {step} %}}" * 40
        assert "1 MB" in refused(RENDER_FAILED, text, kind="jinja2")

    def test_a_usual_template_takes_no_process(self, monkeypatch):
        monkeypatch.setattr(jinja, "_rendered_apart", None)
        text = (
            "{% if p.items %}{% for i in p['list'] if i != 'x' %}{{ loop.index + 1 }} "
            "{{ i|upper|default('nobody here') }}\n"
            "{% else %}-{% endfor %}{% elif n is defined and not n %}{{ n ~ '!' }}{% endif %}"
            "{{ p['list']|join(', ') }}{% set y = n %}{{ y }}{% for k in range(3) %}{{ k }}{% endfor %}"
        )
        values = {"p": {"list": ["a", "b"]}, "n": 1}
        assert rendered(text, kind="jinja2", values=values, p="object", n="integer") == "2 A\n3 B\na, b1012"

    def test_what_is_rendered_apart_has_its_values_and_modules(self, monkeypatch, tmp_path):
        (tmp_path / "json.py").write_text("raise SystemExit")
        monkeypatch.chdir(tmp_path)
        text = "{% for k, v in p.items() %}{{ k }}={{ v }}{% endfor %}{{ [1, 2]|map('string')|list }}"
        values = {"p": {"é\u2028": "\U0001f600"}}
        assert rendered(text, kind="jinja2", values=values, p="object") == "é\u2028=\U0001f600['1', '2']"

    @pytest.mark.parametrize("text", ["{{ [1]|dictsort }}", "{{ 5|xmlattr }}", "{{ 1|nothing(}}", "{{ 1|nothing }}"])
    def test_whatever_fails_is_a_failure_of_the_template(self, text):
        with pytest.raises(TemplateFailed):
            rendered(text, kind="jinja2")

    @pytest.mark.parametrize(
        "text",
        [
            "{% for i in range(1) %}" * 21 + "{% endfor %}" * 21,
            "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
            "{{ " + "[" * 300 + "]" * 300 + " }}",
            "{{ " + "9" * 5000 + " }}",
            "{{ a" + ".b" * 5000 + " }}",
            "{{ a" + " + 1" * 5000 + " }}",
            "{% if a %}" * 500 + "{% endif %}" * 500,
        ],
    )
    def test_what_is_nested_too_deep_is_too(self, text):
        with pytest.raises(TemplateFailed) as caught:
            rendered(text, kind="jinja2", values={"a": "1"}, a="integer")
        assert len(caught.value.message) < 500

    def test_a_range_ends_at_10_000(self):
        assert rendered("{{ range(10000) | length }}", kind="jinja2") == "10000"
        assert "10,000" in refused(RENDER_FAILED, "{{ range(10001) | length }}", kind="jinja2")

    def test_a_vast_number_is_refused_before_it_is_computed(self):
        refused(RENDER_FAILED, "{{ 'x' * 2000000 }}", kind="jinja2")


class TestMessages:
    def test_a_placeholder_is_replaced_by_its_messages_as_they_are(self):
        prompt = a_prompt(
            Message("system", "{{a}}"), Message("placeholder", "history"), a="string", history="placeholder"
        )
        history = [Message("user", "{{a}}"), Message("assistant", "Hello")]
        result = template.render(prompt, encode_all({"a": "x", "history": history}), []).messages
        assert [(m.role, m.content) for m in result] == [("system", "x"), ("user", "{{a}}"), ("assistant", "Hello")]

    def test_a_placeholder_without_messages_disappears(self):
        assert template.render(a_prompt(Message("placeholder", "history")), [], []).messages == []

    def test_a_placeholder_message_must_be_spoken_by_somebody(self):
        values = [VariableVal("history", placeholder_messages=[Message("placeholder", "x")])]
        with pytest.raises(BadRequest, match="history"):
            template.render(a_prompt(Message("placeholder", "history")), values, [])

    def test_appended_user_and_system_messages_are_rendered(self):
        appended = [Message("user", "{{a}}"), Message("system", "{{a}}")]
        result = template.render(a_prompt(a="string"), encode_all({"a": "x"}), appended).messages
        assert [m.content for m in result] == ["x", "x"]

    def test_appended_messages_may_ask_not_to_be(self):
        result = template.render(
            a_prompt(a="string"), encode_all({"a": "x"}), [Message("user", "{{a}}", skip_render=True)]
        ).messages
        assert result[0].content == "{{a}}"

    @pytest.mark.parametrize("role", ["assistant", "tool"])
    def test_appended_assistant_and_tool_messages_are_not(self, role):
        result = template.render(a_prompt(a="string"), encode_all({"a": "x"}), [Message(role, "{{a}}")]).messages
        assert result[0].content == "{{a}}"

    def test_an_appended_assistant_message_may_ask_to_be(self):
        asking = [Message("assistant", "{{a}}", skip_render=False), Message("tool", "{{a}}", skip_render=False)]
        result = template.render(a_prompt(a="string"), encode_all({"a": "x"}), asking).messages
        assert [message.content for message in result] == ["x", "{{a}}"]

    def test_the_prompts_own_tool_messages_are_not(self):
        prompt = a_prompt(Message("tool", "{{a}}"), Message("assistant", "{{a}}"), a="string")
        result = template.render(prompt, encode_all({"a": "x"}), []).messages
        assert [message.content for message in result] == ["{{a}}", "x"]

    def test_who_is_not_known_speaks_as_the_user(self):
        result = template.render(
            a_prompt(a="string"), encode_all({"a": "x"}), [Message("narrator", "{{a}}")]
        ).messages
        assert [(message.role, message.content) for message in result] == [("user", "x")]

    def test_the_prompt_itself_is_left_alone(self):
        prompt = a_prompt(Message("user", "{{a}}"), a="string")
        template.render(prompt, encode_all({"a": "x"}), [])
        assert prompt.prompt_template.messages[0].content == "{{a}}"

    def test_a_template_type_of_another_house_is_a_clear_error(self):
        with pytest.raises(TemplateFailed, match="go_template"):
            template.render(a_prompt(kind="go_template"), [], [])


class TestParts:
    def parts(self, *parts, values=None, **types):
        return (
            template.render(a_prompt(Message("user", parts=parts), **types), encode_all(values or {}), [])
            .messages[0]
            .parts
        )

    def test_text_parts_are_rendered_and_empty_parts_dropped(self):
        written = [ContentPart("text", "{{a}}"), ContentPart("text", "{{b}}"), ContentPart("text")]
        assert self.parts(*written, a="string", b="string", values={"a": "x"}) == [ContentPart("text", "x")]

    def test_a_multi_part_variable_is_replaced_by_its_parts(self):
        mine = [ContentPart("text", "see"), ContentPart("image_url", image_url="https://example.com/a.png")]
        assert self.parts(ContentPart("multi_part_variable", "m"), m="multi_part", values={"m": mine}) == mine

    def test_only_if_it_is_declared_as_one(self):
        assert (
            self.parts(ContentPart("multi_part_variable", "m"), m="string", values={"m": [ContentPart("text", "x")]})
            is None
        )

    @pytest.mark.parametrize("url", ["example", "//example.com/a", "https://", "file:///etc/passwd", "http://a b"])
    def test_an_image_needs_a_url_of_the_web(self, url):
        with pytest.raises(BadRequest, match="URL"):
            self.parts(ContentPart("image_url", image_url=url))

    @pytest.mark.parametrize(
        "uri", ["iVBORw0KGgo=", "data:image/png", "data:image/png;base64,AA", "data:image/png;base64,?"]
    )
    def test_data_needs_a_data_uri(self, uri):
        with pytest.raises(BadRequest, match="data URI"):
            self.parts(ContentPart("base64_data", base64_data=uri))

    def test_a_data_uri_passes(self):
        part = ContentPart("base64_data", base64_data="data:image/png;base64,iVBORw0KGgo=")
        assert self.parts(part) == [part]


class TestBounds:
    def test_tags_that_never_close_take_one_look(self):
        text = "{{" * 300_000
        assert rendered(text, a="string") == text

    def test_a_large_value_in_many_places_ends_at_1_mb(self):
        assert "1 MB" in refused(RENDER_FAILED, "{{a}}" * 2_000, values={"a": "x" * 250_000}, a="string")

    @pytest.mark.parametrize("kind", ["normal", "jinja2"])
    def test_a_template_that_is_itself_too_long_is_refused_unread(self, kind):
        assert "1 MB" in refused(RENDER_FAILED, "{{a}}" + "x" * 10_000_000, kind=kind, values={"a": ""}, a="string")

    def test_many_long_messages_end_too(self):
        prompt = a_prompt(*[Message("user", "{{a}}")] * 100, a="string")
        with pytest.raises(TemplateFailed, match="together longer than 8 MB"):
            template.render(prompt, encode_all({"a": "x" * 900_000}), [])


class TestRemarks:
    def remarks(self, text, kind, values, **types):
        prompt = a_prompt(Message("user", text), kind=kind, **types)
        return template.render(prompt, encode_all(values), []).remarks

    def test_a_tag_with_blanks_stays_as_it_is_and_is_told(self):
        (remark,) = self.remarks("{{ a }} {{a}} {{ b }}", "normal", {"a": "x"}, a="string")
        assert remark == "{{ a }} stays as it is: in a normal template, write {{a}} without blanks"

    def test_so_is_one_in_an_appended_message_that_is_a_template(self):
        prompt = a_prompt(Message("user", "{{a}}"), kind="normal", a="string")
        appended = [Message("tool", "{{ a }}"), Message("assistant", "{{a }}"), Message("user", "{{ a}}")]
        (remark,) = template.remarks_on_tags(prompt, appended)
        assert remark.startswith("{{ a}} stays as it is")

    @pytest.mark.parametrize(
        "text",
        [
            "{{ o.l }}",
            "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(o.l) }}",
            "{% for k, v in o.items() %}{{ k }}{% endfor %}",
            "{{ o.get('l')|length }}",
            "{{ o.l.index(1) }}",
            "{{ (o.l|length).real }}",
        ],
    )
    def test_what_works_here_and_not_on_the_platform_is_told(self, text):
        (remark,) = self.remarks(text, "jinja2", {"o": {"l": [1, None]}}, o="object")
        assert remark.endswith("works here, not on the platform")

    @pytest.mark.parametrize("text", ["{{ o.keys() }}", "{% for k, v in o %}{{ k }}{% endfor %}", "{{ o.l.copy }}"])
    def test_what_works_on_both_is_not(self, text):
        assert self.remarks(text, "jinja2", {"o": {"l": {"copy": 1}, "items": []}}, o="object") == ()
