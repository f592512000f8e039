"""What sessions in Python share: steps that say what came of them, and phases that they are led through."""

import json
import sys


def plain(value):
    """The value as JSON can say it."""
    if hasattr(value, "__next__") or isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "status_code"):
        return [value.status_code, value.text]
    if hasattr(value, "raw"):
        return plain(value.raw)
    return value


def step(name, call, *arguments, **options):
    """Does it, and says what came of it."""
    try:
        shown = json.dumps(plain(call(*arguments, **options)), sort_keys=True, ensure_ascii=False)
    except Exception as error:  # whatever it is, it is what the user sees
        code = getattr(error, "code", "-")
        shown = f"{type(error).__name__} {code} {error}"
    print(f"{name} => {shown}".replace("\n", "\\n"), flush=True)


def in_any_order(call):
    """Of a list whose order InfluxDB leaves to chance."""
    return lambda *arguments: sorted(call(*arguments), key=str)


def be_led(phase):
    """Does a phase for each number that comes, and says a dot after it."""
    for line in sys.stdin:
        phase(int(line))
        print(".", flush=True)
