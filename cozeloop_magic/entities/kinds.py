"""The words of the wire: who speaks, what a part holds, what a variable is."""

from __future__ import annotations

from enum import Enum

__all__ = [
    "ContentType",
    "Role",
    "TemplateType",
    "ToolChoiceType",
    "ToolType",
    "VariableType",
]


class _Text(str, Enum):
    """Text with a name; prints as the text."""

    __str__ = str.__str__


class TemplateType(_Text):
    """How a prompt's text is rendered."""

    NORMAL = "normal"
    JINJA2 = "jinja2"


class Role(_Text):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    PLACEHOLDER = "placeholder"


class ToolType(_Text):
    """What a tool is."""

    FUNCTION = "function"


class ToolChoiceType(_Text):
    """Whether the model may call tools."""

    AUTO = "auto"
    NONE = "none"
    SPECIFIC = "specific"


class ContentType(_Text):
    """What a content part holds."""

    TEXT = "text"
    IMAGE_URL = "image_url"
    VIDEO_URL = "video_url"
    BASE64_DATA = "base64_data"
    MULTI_PART_VARIABLE = "multi_part_variable"


class VariableType(_Text):
    """What a prompt declares a variable to be."""

    STRING = "string"
    PLACEHOLDER = "placeholder"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    OBJECT = "object"
    ARRAY_STRING = "array<string>"
    ARRAY_BOOLEAN = "array<boolean>"
    ARRAY_INTEGER = "array<integer>"
    ARRAY_FLOAT = "array<float>"
    ARRAY_OBJECT = "array<object>"
    MULTI_PART = "multi_part"
