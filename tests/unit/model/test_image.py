"""An image's name: Docker's spellings, the registries' rules, and one value for each image."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.model.errors import InvalidRequest
from paddock.model.image import IMAGE_NAME_LIMIT_BYTES, ImageReference, check_image, parse_image

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8
ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest", "canonical"),
    [
        ("busybox", "docker.io", "library/busybox", "", "", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io", "library/busybox", "1.36", "", "docker.io/library/busybox:1.36"),
        ("a/b", "docker.io", "a/b", "", "", "docker.io/a/b:latest"),
        ("docker.io/busybox", "docker.io", "library/busybox", "", "", "docker.io/library/busybox:latest"),
        ("index.docker.io/a/b:x", "docker.io", "a/b", "x", "", "docker.io/a/b:x"),
        ("localhost/x", "localhost", "x", "", "", "localhost/x:latest"),
        ("localhost:5000/x:y", "localhost:5000", "x", "y", "", "localhost:5000/x:y"),
        ("localhost:5000", "docker.io", "library/localhost", "5000", "", "docker.io/library/localhost:5000"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "a/b/c", "", "", "127.0.0.1:5000/a/b/c:latest"),
        ("[::1]:5000/x", "[::1]:5000", "x", "", "", "[::1]:5000/x:latest"),
        ("[fe80::1]:1/x:V_1", "[fe80::1]:1", "x", "V_1", "", "[fe80::1]:1/x:V_1"),
        ("Host/x", "Host", "x", "", "", "Host/x:latest"),
        ("Host:443/x", "Host:443", "x", "", "", "Host:443/x:latest"),
        ("r.example/a__b/c---d/e.f", "r.example", "a__b/c---d/e.f", "", "", "r.example/a__b/c---d/e.f:latest"),
        (f"x@{SHA256}", "docker.io", "library/x", "", SHA256, f"docker.io/library/x@{SHA256}"),
        (f"r.example:1/x:2@{SHA512}", "r.example:1", "x", "2", SHA512, f"r.example:1/x@{SHA512}"),
        ("library/a/b", "docker.io", "library/a/b", "", "", "docker.io/library/a/b:latest"),
        ("docker.io/a.b/c", "docker.io", "a.b/c", "", "", "docker.io/a.b/c:latest"),
    ],
)
def test_every_spelling_is_one_value(
    text: str, registry: str, repository: str, tag: str, digest: str, canonical: str
) -> None:
    image = parse_image(text)
    assert image == ImageReference(registry=registry, repository=repository, tag=tag, digest=digest)
    assert image.canonical == canonical
    assert parse_image(str(image)) == image


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "[registry/]repository"),
        ("a" * 1_025, "at most 1024 ASCII characters"),
        ("büsybox", "ASCII"),
        ("Busybox", "its part 'Busybox' is no name"),
        ("a/B", "its part 'B' is no name"),
        ("a//b", "its part '' is no name"),
        ("/a", "its part '' is no name"),
        ("a/", "its part '' is no name"),
        ("a b", "its part 'a b' is no name"),
        ("a___b", "its part 'a___b' is no name"),
        ("a._b", "its part 'a._b' is no name"),
        ("-a", "its part '-a' is no name"),
        ("a\n", "is no name"),
        ("library/", "its part '' is no name"),
        ("docker.io/library/", "its part '' is no name"),
        ("a:", "its tag is ''"),
        ("a:.x", "its tag is '.x'"),
        ("a:" + "x" * 129, "1 to 128"),
        ("a:b:c", "is no name"),
        ("http:" + "//r.example/a", "its registry's port is ''"),
        ("r.example:0/a", "its registry's port is '0'"),
        ("r.example:70000/a", "use 1 to 65535"),
        ("r..example/a", "its registry's host is 'r..example'"),
        ("-r.example/a", "host name"),
        ("[::1/a", "host name"),
        ("[::1]/", "its part '' is no name"),
        ("::1/a", "host name"),
        ("a@", "@sha256: and 64"),
        ("a@sha256:" + "0" * 63, "@sha256: and 64"),
        ("a@sha256:" + "A" * 64, "lower-case"),
        ("a@md5:" + "0" * 32, "@sha512: and 128"),
        (f"a@{SHA256}@{SHA256}", "digest"),
        ("0" * 64, "an image's id"),
        ("r.example/" + "a" * 246, "at most 255 bytes"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^docker\.image: .*{re.escape(words)}") as refused:
        parse_image(text, "docker.image")
    assert refused.value.field == "docker.image"


def test_a_registry_that_only_newer_engines_know_is_read_and_given_to_none() -> None:
    words = "its part 'UPPER' is no name: use a-z and 0-9, between them one of . _ __ or dashes; a registry's host"
    with pytest.raises(InvalidRequest, match=re.escape(f"image: 'UPPER/x:1' is not accepted: {words}")):
        check_image(parse_image("UPPER/x:1"), "image")
    for text in ("Host:443/x", "R.example/x", "localhost/x", "x", "[FE80::1]:1/x"):
        check_image(parse_image(text), "image")


def test_the_longest_name_is_accepted() -> None:
    image = parse_image("r.example/" + "a" * 245)
    assert len(image.name) == IMAGE_NAME_LIMIT_BYTES


def test_a_name_that_only_looks_like_an_images_id_stays_a_name() -> None:
    image = parse_image("docker.io/" + "0" * 64)
    assert str(image) == "docker.io/library/" + "0" * 64


separators = st.sampled_from([".", "_", "__", "-", "--"])
words = st.text(ALNUM, min_size=1, max_size=4)
components = st.tuples(words, st.lists(st.tuples(separators, words), max_size=2)).map(
    lambda parts: parts[0] + "".join(separator + word for separator, word in parts[1])
)
hosts = st.one_of(
    st.sampled_from(
        ["docker.io", "localhost", "localhost:5000", "[::1]:5000", "10.0.0.1:80", "R:1", "r.example:65535"]
    ),
    st.builds("{}.{}:{}".format, words, words, st.integers(1, 65_535)),
)
digests = st.one_of(
    st.just(""),
    st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format),
    st.text("0123456789abcdef", min_size=128, max_size=128).map("sha512:{}".format),
)
tags = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True))


@given(hosts, st.lists(components, min_size=1, max_size=4), tags, digests)
@settings(deadline=None)
def test_whatever_the_rules_allow_is_taken_apart_and_put_together_again(
    host: str, parts: list[str], tag: str, digest: str
) -> None:
    repository = "/".join(parts)
    text = f"{host}/{repository}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    image = parse_image(text)
    assert (image.registry, image.tag, image.digest) == (host, tag, digest)
    assert image.repository in {repository, f"library/{repository}"}
    assert parse_image(str(image)) == image
    again = parse_image(image.canonical)
    assert (again.canonical, again.version) == (image.canonical, image.version)


@given(st.one_of(st.text(max_size=40), st.text("aB0./:@_-[]\n", max_size=30)))
@settings(deadline=None)
def test_anything_is_a_name_or_is_refused_by_name(text: str) -> None:
    try:
        image = parse_image(text, "image")
    except InvalidRequest:
        return  # anything else is a defect
    assert parse_image(str(image)) == image
    assert len(image.name) <= IMAGE_NAME_LIMIT_BYTES
