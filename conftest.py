"""pytest's root: the harness's own plugin comes through its entry point; here only what this project's tests share."""

pytest_plugins = ["pytester"]
