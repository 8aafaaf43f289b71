"""Command lines about endpoints and own encoders that cannot work, each with a part of the one line of answer."""

MINI = ["run", "--quiet", "--tasks", "MiniSTS", "--output_dir", "out"]
ENDPOINT = [*MINI, "--endpoint_model", "x", "--endpoint"]
GONE = [*ENDPOINT, "http://127.0.0.1:9/v1"]  # nobody listens on this port

ENDPOINTS = [
    (MINI, "give --model_name_or_path M, --endpoint URL or --encoder package.module:Class"),
    (
        [*GONE, "--model_name_or_path", "model"],
        "--model_name_or_path model: only for a model on this machine",
    ),
    (
        [*ENDPOINT, "http://127.0.0.1:9"],
        "does not end in a version; did you mean http://127.0.0.1:9/v1?",
    ),
    ([*ENDPOINT, "127.0.0.1:9/v1"], "127.0.0.1:9/v1: not a URL; give the address"),
    ([*ENDPOINT, "http://[/v1"], "http://[/v1: not a URL"),
    ([*ENDPOINT, "http://127.0.0.1:99999/v1"], "not a URL"),
    ([*ENDPOINT, ""], "--endpoint: is empty; give a value or leave out the flag"),
    ([*ENDPOINT, "http://me:key@127.0.0.1:9/v1"], "a URL with a name, a key or a query"),
    (GONE, "http://127.0.0.1:9/v1: no answer (ConnectError"),
    ([*GONE, "--api_key_env", "NO_SUCH_KEY"], "--api_key_env NO_SUCH_KEY: is not set; export NO_SUCH_KEY=KEY"),
    ([*GONE, "--dtype", "float16"], "--dtype float16: only for a model on this machine"),
    ([*GONE, "--token_prepending", "on"], "--token_prepending on: only for a model on this machine"),
    ([*GONE, "--ray", "auto"], "--ray auto: only for a model on this machine"),
    ([*GONE, "--profile", "checkpoint"], "x has no files here that say what is sent; name a profile"),
    ([*GONE, "--tokenizer", "empty-data"], "cannot load the tokenizer"),
    ([*GONE, "--request_fields", "{"], "not JSON"),
    ([*GONE, "--request_fields", "[1]"], "give a JSON object such as"),
    ([*GONE, "--request_fields", '{"dimensions": 9}'], "all dimensions are cut here from one pass; give --dim"),
    ([*GONE, "--request_fields", '{"input": "x"}'], "input: is set by this command; drop it"),
    ([*MINI, "--endpoint_model", "x"], "--endpoint_model: only with --endpoint URL"),
    ([*MINI, "--model_name_or_path", "http://127.0.0.1:9/v1"], "a URL; give it as --endpoint"),
    ([*GONE, "--encoder", "a:B"], "--encoder a:B and --endpoint http://127.0.0.1:9/v1: give one of them"),
    (["evaluate", *MINI[2:], "--endpoint", "http://127.0.0.1:9/v1"], "give --endpoint_model NAME"),
    ([*GONE[:1], *GONE[2:], "--tasks", "MiniSTS", "--profile", "qzhou"], "did you mean qzhou-zh?"),
    *(
        ([*MINI, "--encoder", name], message)
        for name, message in {
            "json": "--encoder json: give package.module:Class",
            "nowhere.at.all:X": "cannot be made (ModuleNotFoundError: No module named 'nowhere'",
            "json:JSONDecodr": "did you mean JSONDecoder? ",
            "json.py:X": "give the module's name, without .py",
            "json:JSONDecoder": "lacks identity, width, made_with, prepare, stream; docs/extending.md",
        }.items()
    ),
]
