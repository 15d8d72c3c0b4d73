from infinitygan_jax import machine


def test_memory_is_at_most_the_container_s(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_CONTAINER_LIMITS", (str(limit),))
    limit.write_text("max\n")
    whole = machine.memory_bytes()
    limit.write_text("123456\n")
    assert machine.memory_bytes() == 123456 < whole
