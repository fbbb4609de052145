"""Writes NAME.expected.json beside every NAME.jinja of a folder: each conversation rendered by jinja2 as transformers'
apply_chat_template does it, or null where the template refuses.

  pip install jinja2 transformers
  python tools/make_template_goldens.py tests/golden/templates
"""
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2025, 7, 26, 12, 0, 0)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(template, conversation):
    variables = dict(conversation.get("variables", {}))
    return template.render(messages=conversation["messages"], tools=conversation.get("tools"), documents=None,
                           add_generation_prompt=conversation.get("add_generation_prompt", True), bos_token="<s>",
                           eos_token="</s>", **variables)


def main():
    folder = pathlib.Path(sys.argv[1])
    conversations = json.loads((folder / "conversations.json").read_text())
    # strftime_now asks the module's own datetime for the time.
    chat_template_utils.datetime = Clock
    rendered = refused = 0
    for file in sorted(folder.glob("*.jinja")):
        template = chat_template_utils._compile_jinja_template(file.read_text(encoding="utf-8"))
        expected = {}
        for name, conversation in conversations.items():
            try:
                expected[name] = render(template, json.loads(json.dumps(conversation)))
                rendered += 1
            except (jinja2.exceptions.TemplateError, TypeError, KeyError, AttributeError, ValueError) as error:
                expected[name] = None
                refused += 1
                print(f"{file.name} {name}: {type(error).__name__}: {error}", file=sys.stderr)
        file.with_suffix(".expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{rendered} rendered, {refused} refused")


if __name__ == "__main__":
    main()
