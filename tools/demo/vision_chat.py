"""The demo model's chat template with pictures: that of tests/data/templates/demo_chat.jinja, whose parts may be images."""
import pathlib

TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "templates" / "demo_chat.jinja"
TEXT_ONLY = """    {%- for part in content if part.type == 'text' -%}
      {{- part.text -}}
    {%- endfor -%}
"""
# Qwen3-VL's rule of what an image, a video and a text part is, with its markers.
WITH_IMAGES = """    {%- for part in content -%}
      {%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}
        {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
      {%- elif part.type == 'video' or 'video' in part -%}
        {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
      {%- elif 'text' in part -%}
        {{- part.text -}}
      {%- endif -%}
    {%- endfor -%}
"""


def chat_template():
    text = TEMPLATE.read_text(encoding="utf-8")
    if text.count(TEXT_ONLY) != 1:
        raise SystemExit(f"{TEMPLATE} no longer holds the loop over text parts that this replaces")
    return text.replace(TEXT_ONLY, WITH_IMAGES)
