from overbook.deploy.render import BY_HAND, deploy_files
from tests.docs.reading import ROOT

DEPLOY = ROOT / "deploy"


def test_deploy_holds_what_the_code_renders() -> None:
    made = deploy_files()
    there = {
        str(file.relative_to(DEPLOY)): file.read_text(encoding="utf-8")
        for file in DEPLOY.rglob("*")
        if file.is_file()
    }
    assert there.keys() == made.keys() | BY_HAND, "run `make deploy`"
    stale = [path for path, text in made.items() if there[path] != text]
    assert stale == [], "run `make deploy`"
