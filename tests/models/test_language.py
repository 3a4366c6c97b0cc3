"""The sentence encoder: real weights, cached, and the same bits in any batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from enactive.models.language import LanguageEncoder


@pytest.fixture(scope="module")
def encoder() -> LanguageEncoder:
    return LanguageEncoder.Config().build()


def test_paraphrases_are_nearer_than_opposites(encoder: LanguageEncoder) -> None:
    a, b, c = encoder.encode(
        ["open the faucet", "turn the tap on so the water runs", "fold the towel on the shelf"]
    )
    assert a @ b > a @ c + 0.2


def test_embeddings_have_length_one_and_384_entries(encoder: LanguageEncoder) -> None:
    embeddings = encoder.encode(["a", "push the button"])
    assert embeddings.shape == (2, 384)
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2))


def test_a_batch_does_not_change_an_embedding(encoder: LanguageEncoder) -> None:
    alone = encoder.encode(["reach the goal"])
    fresh = LanguageEncoder.Config().build()
    together = fresh.encode(["a much longer sentence that would need padding", "reach the goal"])
    assert torch.equal(alone[0], together[1])


def test_preloaded_strings_need_no_encoder() -> None:
    encoder = LanguageEncoder.Config(source="no/such/directory").build()
    encoder.preload({"go": torch.ones(384)}, identity="abc")
    assert torch.equal(encoder.encode(["go"])[0], torch.ones(384))
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        encoder.encode(["stop"])


def test_another_encoder_than_the_checkpoints_is_refused() -> None:
    encoder = LanguageEncoder.Config().build()
    encoder.preload({"go": torch.ones(384)}, identity="0123456789abcdef")
    with pytest.raises(ValueError, match="was trained with the sentence encoder 0123456789abcdef"):
        encoder.encode(["stop"])


def test_a_missing_package_says_what_to_install() -> None:
    encoder = LanguageEncoder.Config(source="package:no_such_encoder").build()
    with pytest.raises(FileNotFoundError, match="pip install no-such-encoder"):
        encoder.encode(["go"])


def test_the_identity_is_of_the_files(encoder: LanguageEncoder, tmp_path: Path) -> None:
    for file in encoder.directory().iterdir():
        if file.is_file():
            (tmp_path / file.name).symlink_to(file)
    copy = LanguageEncoder.Config(source=str(tmp_path)).build()
    assert copy.identity == encoder.identity
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").write_text("{}")
    assert LanguageEncoder.Config(source=str(tmp_path)).build().identity != encoder.identity
