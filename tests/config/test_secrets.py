"""Addresses with a secret in them: all of them are found, usual addresses are not, and no message repeats one."""

import pytest

from raydistill.cli import main
from raydistill.config.secrets import check_no_secret, holds_secret
from raydistill.config.yaml_files import read_yaml
from raydistill.errors import ConfigError, without_password
from raydistill.files import Folder
from raydistill.recordings.remote import located

SECRET = "Pl4nted"
WITH = [
    f"s3://AKIA1234:{SECRET}@bucket/store",
    f"s3://AKIA1234:{SECRET}/with/slash+@bucket/store",
    f"s3://AKIA1234%3A{SECRET}@bucket/store",
    f"s3://{SECRET}@bucket/store",
    f"https://user:{SECRET}@host/a.nwb",
    f"https://user:{SECRET}@host:8080/a.nwb",
    f"https://{SECRET}@host/a.nwb",
    f"https://host/a.nwb?X-Amz-Algorithm=A&X-Amz-Signature={SECRET}",
    f"https://host/a.nwb?sv=2021&sig={SECRET}",
    f"https://host/a.nwb?token={SECRET}",
    f"https://host/a.nwb?access_token={SECRET}&x=1",
    f"https://host/a.nwb#token={SECRET}",
    f"https://host/a.nwb?API-Key={SECRET}",
    f"s3://bucket/store?region=eu&secret_key={SECRET}",
    f"s3://bucket/store?endpoint_override=http%3A%2F%2Fu%3A{SECRET}%40host",
    f"gs://user:{SECRET}@bucket",
    f"postgresql://me:{SECRET}@host/db",
    f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={SECRET}",
    f"a text around https://u:{SECRET}@host and more",
]
WITHOUT = [
    *("runs/store", "s3://bucket/store", "s3://bucket/a:b@c", "https://host:8080/path@v1/a.nwb", "file:///a/b"),
    *("gs://anonymous@bucket/store", "ssh://git@host/a", "abfss://container@account.dfs.core.windows.net/store"),
    *("s3://bucket/store?region=eu-central-1&endpoint_override=localhost:9000&scheme=http", "A ~ B", "a@b.c"),
    *("https://api.dandiarchive.org/api/assets/1f/download/", "https://host/a?design=3", "Distilled LFP > SS-LFP"),
]


@pytest.mark.parametrize("text", WITH)
def test_address_with_a_secret_is_refused_in_files_and_arguments_without_repeating_it(tmp_path, text, capsys):
    assert holds_secret(text)
    (tmp_path / "f.yaml").write_text(f"name: a\nother:\n  deep: ['{text}']\n")
    (tmp_path / "key.yaml").write_text(f"'{text}': 1\n")
    (tmp_path / "bare.yaml").write_text(f"'{text}'\n")
    refusals = [lambda: check_no_secret(text, "x"), lambda: read_yaml(tmp_path / "f.yaml")]
    refusals += [lambda: read_yaml(tmp_path / "key.yaml"), lambda: read_yaml(tmp_path / "bare.yaml")]
    refusals += [lambda: Folder(text), lambda: located(tmp_path, text)] if text[:5] in ("s3://", "https") else []
    for refused in refusals:
        with pytest.raises(ConfigError, match=r"AWS_PROFILE") as caught:
            refused()
        assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match=r"f\.yaml:3: an address"):
        read_yaml(tmp_path / "f.yaml")
    for arguments in (
        ["sessions", "--store", text],
        ["ingest", text, "--store", "x"],
        ["plan", "x", "--set", f"store={text}"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        output = capsys.readouterr()
        assert ended.value.code == 2 and SECRET not in output.out + output.err and "AWS_PROFILE" in output.err
    assert SECRET not in without_password(text) or "%3A" in text or ";" in text


@pytest.mark.parametrize("text", WITHOUT)
def test_address_without_a_secret_is_accepted(tmp_path, text):
    assert not holds_secret(text)
    (tmp_path / "f.yaml").write_text(f"name: '{text}'\n")
    assert read_yaml(tmp_path / "f.yaml") == {"name": text}
