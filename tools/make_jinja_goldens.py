"""Fills in what jinja2 makes of the small templates in tests/golden/jinja, set up as transformers does for chat templates.

  pip install jinja2 transformers
  python tools/make_jinja_goldens.py tests/golden/jinja [--check]

Each NAME.json there is a list of [template, expected]; expected is null where jinja2 refuses the template. To add a
case, add [template] and run this. errors.json has [template, line, column, part of our message]: jinja2 must refuse the
template, in that line where it says one; columns and messages are ours. Templates see variables.json. --check writes
nothing and fails when something would change.
"""
import json
import pathlib
import sys
import traceback

import jinja2
from transformers.utils import chat_template_utils

PASSED_ON = (KeyboardInterrupt, SystemExit, MemoryError)


def render(template, variables):
    """The text, or the error with the line of the template."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return compiled.render(messages=[], tools=None, documents=None, add_generation_prompt=True, bos_token="<s>",
                               eos_token="</s>", **json.loads(json.dumps(variables))), None
    except PASSED_ON:
        raise
    except Exception as error:
        line = error.lineno if isinstance(error, jinja2.TemplateSyntaxError) else None
        if line is None:
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in ("<template>", "<unknown>")]
            line = frames[-1].lineno if frames else None
        return None, (line, f"{type(error).__name__}: {error}")


def write(cases):
    return "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n"


def main():
    folder = pathlib.Path(sys.argv[1])
    check = "--check" in sys.argv
    variables = json.loads((folder / "variables.json").read_text(encoding="utf-8"))
    failures = 0
    for file in sorted(folder.glob("*.json")):
        if file.name == "variables.json":
            continue
        cases = json.loads(file.read_text(encoding="utf-8"))
        if file.name == "errors.json":
            for template, line, *_ in cases:
                text, error = render(template, variables)
                if text is not None or error[0] not in (line, None):
                    failures += 1
                    print(f"{file.name}: {template!r}: expected an error in line {line}, got {text!r} {error}")
        else:
            filled = []
            for case in cases:
                text, error = render(case[0], variables)
                if error is not None:
                    print(f"{file.name}: {case[0]!r} refused: {error[1]}")
                filled.append([case[0], text])
            if check and filled != cases:
                failures += 1
                print(f"{file.name} is out of date")
            cases = filled
        if not check:
            file.write_text(write(cases), encoding="utf-8")
        print(f"{file.name}: {len(cases)} cases")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
