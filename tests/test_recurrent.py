"""Recurrent layers: step by step as PyTorch and Keras do, on data of every kind, kept and loaded, bad input refused."""

import pickle

import numpy as np
import pytest

import pynn

ROWS, STEPS, FEATURES, UNITS, OUTPUTS = 40, 7, 3, 5, 2
LAYERS = {
    "simple": lambda **a: pynn.SimpleRNN(UNITS, **a),
    "lstm": lambda **a: pynn.LSTM(UNITS, **a),
    "gru": lambda **a: pynn.GRU(UNITS, **a),
    "gru before": lambda **a: pynn.GRU(UNITS, reset_after=False, **a),
    "both": lambda **a: pynn.Bidirectional(pynn.LSTM(UNITS, **a)),
    "both gru": lambda **a: pynn.Bidirectional(pynn.GRU(UNITS, **a)),
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, STEPS, FEATURES)), rng.normal(size=(ROWS, OUTPUTS))


def made(layers, loss="mse", optimizer=None, dtype="float64", **compiled):
    model = pynn.Sequential(layers, seed=0, dtype=dtype)
    model.compile(loss, optimizer or pynn.SGD(learning_rate=0.1), **compiled)
    return model


# ---- as others do


def torch_layer(torch, spec, inputs):
    kinds = {"simple_rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    both = isinstance(spec, pynn.Bidirectional)
    inner = spec.layer if both else spec
    return kinds[inner.kind](inputs, inner.units, batch_first=True, bidirectional=both).double()


def copy_to_torch(torch, bound, module):
    """The gates of PyTorch's GRU are r, z, n; ours z, r, g."""
    spec = bound.spec.layer if isinstance(bound.spec, pynn.Bidirectional) else bound.spec
    order = {"gru": [1, 0, 2], "lstm": [0, 1, 2, 3], "simple_rnn": [0]}[spec.kind]
    mixed = lambda a: np.concatenate([np.split(a, len(order), axis=-1)[i] for i in order], axis=-1)  # noqa: E731
    for ours, theirs in (("", ""), ("backward_", "_reverse"))[: 1 + module.bidirectional]:
        kernel, recurrent, bias = (
            np.atleast_2d(getattr(bound, f"{ours}{name}")) for name in ("kernel", "recurrent_kernel", "bias")
        )
        zeros = np.zeros_like(bias[0])
        for name, value in {
            "weight_ih_l0": mixed(kernel).T,
            "weight_hh_l0": mixed(recurrent).T,
            "bias_ih_l0": mixed(bias[0]),
            "bias_hh_l0": mixed(bias[1]) if len(bias) > 1 else zeros,
        }.items():
            with torch.no_grad():
                getattr(module, name + theirs).copy_(torch.from_numpy(np.array(value)))
    if spec.kind != "gru":
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(not name.startswith("bias_hh"))


@pytest.mark.parametrize("name", ["simple", "lstm", "gru", "both", "both gru"])
def test_twenty_steps_are_those_of_pytorch(data, name):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    x, y = data
    model = made([LAYERS[name](return_sequences=True), LAYERS[name](), pynn.Dense(OUTPUTS)])
    model.build((STEPS, FEATURES))
    first = torch_layer(torch, model.layers[0].spec, FEATURES)
    second = torch_layer(torch, model.layers[1].spec, UNITS * (1 + first.bidirectional))
    dense = torch.nn.Linear(UNITS * (1 + first.bidirectional), OUTPUTS).double()
    for bound, module in zip(model.layers, (first, second), strict=False):
        copy_to_torch(torch, bound, module)
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(model.layers[2].kernel.T.copy()))
        dense.bias.copy_(torch.from_numpy(model.layers[2].bias.copy()))
    parameters = [p for module in (first, second, dense) for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.1)

    def forward():
        h = second(first(torch.from_numpy(x))[0])[0]
        last = torch.cat([h[:, -1, :UNITS], h[:, 0, UNITS:]], dim=1) if first.bidirectional else h[:, -1]
        return dense(last)

    for _ in range(20):
        step = model.train_step(x, y)
        loss = ((forward() - torch.from_numpy(y)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(step.loss, loss.item(), rtol=1e-9)
    np.testing.assert_allclose(model.predict(x), forward().detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", [*LAYERS, "backwards", "masked", "average", "max"])
def test_twenty_steps_are_those_of_keras(data, name, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    x, y = data
    if name == "masked":
        x = padded(x, np.arange(ROWS) % STEPS + 1)

    def layers(of):
        kinds = {
            "simple": lambda: [of.SimpleRNN(UNITS)],
            "lstm": lambda: [of.LSTM(UNITS, return_sequences=True), of.LSTM(UNITS, unit_forget_bias=False)],
            "gru": lambda: [of.GRU(UNITS, return_sequences=True), of.GRU(UNITS)],
            "gru before": lambda: [of.GRU(UNITS, reset_after=False, recurrent_activation="hard_sigmoid")],
            "both": lambda: [of.Bidirectional(of.LSTM(UNITS, return_sequences=True)), of.Flatten()],
            "both gru": lambda: [of.Bidirectional(of.GRU(UNITS))],
            "backwards": lambda: [
                of.GRU(UNITS, go_backwards=True, return_sequences=True),
                of.LSTM(UNITS, use_bias=False),
            ],
            "masked": lambda: [of.Masking(0.0), of.Bidirectional(of.LSTM(UNITS, return_sequences=True)), of.GRU(UNITS)],
            "average": lambda: [of.Dense(4), of.GRU(UNITS, return_sequences=True), of.GlobalAveragePooling1D()],
            "max": lambda: [of.SimpleRNN(UNITS, activation="relu", return_sequences=True), of.GlobalMaxPooling1D()],
        }
        return [*kinds[name](), of.Dense(OUTPUTS)]

    model = made(layers(pynn)).build((STEPS, FEATURES))
    peer = keras.Sequential([keras.Input((STEPS, FEATURES)), *layers(keras.layers)])
    peer.compile(optimizer=keras.optimizers.SGD(learning_rate=0.1), loss="mse", run_eagerly=False)
    peer.set_weights([layer_tensor for layer in model.layers for layer_tensor in map(layer.__getattr__, layer.tensors)])
    for _ in range(20):
        model.train_step(x, y)
        peer.train_on_batch(x, y)
    np.testing.assert_allclose(model.predict(x), peer.predict(x, verbose=0, batch_size=ROWS), atol=1e-5)  # in float32


# ---- numbers


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("backwards", [False, True])
def test_sequences_end_in_what_is_given_without_them(data, name, backwards):
    """h of every timestep, whose last is what a layer without return_sequences gives."""
    x, _ = data
    last = made([LAYERS[name](go_backwards=backwards), pynn.Dense(OUTPUTS)]).build((STEPS, FEATURES))
    every = made([LAYERS[name](return_sequences=True, go_backwards=backwards), pynn.Flatten(), pynn.Dense(1)])
    every.build((STEPS, FEATURES))
    for tensor in last.layers[0].tensors:
        setattr(every.layers[0], tensor, getattr(last.layers[0], tensor))
    width = last.layers[0].spec.units
    where = [(STEPS - 1, slice(0, UNITS)), (0 if "both" in name else STEPS - 1, slice(UNITS, None))]
    for column in range(width):
        last.layers[1].kernel[...], every.layers[2].kernel[...] = 0, 0
        last.layers[1].kernel[column, 0] = 1
        step = where[column >= UNITS][0]
        every.layers[2].kernel[step * width + column, 0] = 1
        np.testing.assert_array_equal(every.predict(x)[:, 0], last.predict(x)[:, 0])


@pytest.mark.parametrize("name", LAYERS)
def test_a_row_has_the_same_bits_alone_and_among_others(data, name):
    x, y = data
    model = made([LAYERS[name](), pynn.Dense(OUTPUTS)], dtype="float32")
    model.fit(x, y, epochs=1, batch_size=16, verbose=0)
    together = model.predict(x)
    for row in range(0, ROWS, 7):
        np.testing.assert_array_equal(model.predict(x[row : row + 1])[0], together[row])
    np.testing.assert_array_equal(model.predict(x[::-1])[::-1], together)


def test_same_bits_from_every_source_and_at_any_number_of_threads(data, tmp_path):
    x, y = data
    x, y = x.astype(np.float32), y.astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    sources = [
        lambda m: m.fit(x, y, epochs=2, batch_size=16, verbose=0),
        lambda m: m.fit(np.load(tmp_path / "x.npy", mmap_mode="r"), y, epochs=2, batch_size=16, verbose=0),
        lambda m: m.fit(pynn.DataLoader(x, y, batch_size=16, shuffle=True, seed=0), epochs=2, verbose=0),
        lambda m: m.fit(x.tolist(), y, epochs=2, batch_size=16, verbose=0),
        lambda m: m.fit(np.asfortranarray(x), y, epochs=2, batch_size=16, verbose=0),
    ]
    found, before = [], pynn.get_num_threads()
    try:
        for i, fit in enumerate(sources):
            pynn.set_num_threads(1 + i % 2)
            model = made([pynn.LSTM(16), pynn.Dense(OUTPUTS)], dtype="float32")
            fit(model)
            found.append(np.array(model.parameters))
    finally:
        pynn.set_num_threads(before)
    for parameters in found[1:]:
        np.testing.assert_array_equal(parameters, found[0])


@pytest.mark.parametrize("name", LAYERS)
def test_files_pickles_and_checkpoints_keep_them(data, name, tmp_path):
    x, y = data
    model = made([LAYERS[name](return_sequences=True), pynn.GlobalMaxPooling1D(), pynn.Dense(OUTPUTS)])
    model.fit(x, y, epochs=4, verbose=0)
    model.save(tmp_path / "m.safetensors")
    loaded, copied = pynn.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))
    for other in (loaded, copied):
        assert [layer.spec for layer in other.layers] == [layer.spec for layer in model.layers]
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
    halves = made([LAYERS[name](return_sequences=True), pynn.GlobalMaxPooling1D(), pynn.Dense(OUTPUTS)])
    halves.fit(x, y, epochs=2, verbose=0, checkpoint=tmp_path / "run.ckpt")
    again = made([LAYERS[name](return_sequences=True), pynn.GlobalMaxPooling1D(), pynn.Dense(OUTPUTS)])
    again.fit(x, y, epochs=4, verbose=0, checkpoint=tmp_path / "run.ckpt", resume=True)
    np.testing.assert_array_equal(again.parameters, model.parameters)


def test_the_start_is_that_of_keras():
    model = made([pynn.LSTM(8), pynn.Dense(1)]).build((5, 3))
    layer = model.layers[0]
    np.testing.assert_allclose(layer.recurrent_kernel @ layer.recurrent_kernel.T, np.eye(8), atol=1e-12)
    np.testing.assert_array_equal(layer.bias, np.repeat([0, 1, 0, 0], 8))
    assert not made([pynn.LSTM(8, unit_forget_bias=False), pynn.Dense(1)]).build((5, 3)).layers[0].bias.any()
    assert made([pynn.GRU(8), pynn.Dense(1)]).build((5, 3)).layers[0].bias.shape == (2, 24)


def test_the_summary_shows_shapes(capsys):
    made([pynn.GRU(4, return_sequences=True), pynn.Flatten(), pynn.Dense(1)]).build((5, 3)).summary()
    lines = capsys.readouterr().out.splitlines()
    assert "5 x 3" in lines[1]
    assert "5 x 4" in lines[2]
    assert "20" in lines[3]


def test_layers_are_added_one_by_one(data):
    x, _ = data
    model = pynn.Sequential(seed=0, dtype="float64")
    for layer in (pynn.Input((STEPS, FEATURES)), pynn.LSTM(UNITS), pynn.Dense(OUTPUTS)):
        model.add(layer)
    whole = made([pynn.LSTM(UNITS), pynn.Dense(OUTPUTS)]).build((STEPS, FEATURES))
    np.testing.assert_array_equal(model.predict(x), whole.predict(x))


def test_dense_acts_on_every_timestep(data):
    x, _ = data
    model = made([pynn.Dense(4, activation="tanh"), pynn.GlobalAveragePooling1D(), pynn.Dense(OUTPUTS)])
    model.build((STEPS, FEATURES))
    hidden = np.tanh(x @ model.layers[0].kernel + model.layers[0].bias).mean(axis=1)
    np.testing.assert_allclose(model.predict(x), hidden @ model.layers[2].kernel + model.layers[2].bias, rtol=1e-12)


def test_penalties_and_constraints_act_on_recurrent_kernels(data):
    x, y = data
    layer = pynn.LSTM(UNITS, recurrent_regularizer=pynn.regularizers.L2(l2=0.5), recurrent_constraint="max_norm")
    model, plain = (made([spec, pynn.Dense(OUTPUTS)]) for spec in (layer, pynn.LSTM(UNITS)))
    penalty = model.train_step(x, y).loss - plain.train_step(x, y).loss
    start = plain.build((STEPS, FEATURES)).layers[0].recurrent_kernel
    np.testing.assert_allclose(penalty, 0.5 * (start**2).sum(), rtol=1e-9)


def test_headers_refuse_them():
    model = made([pynn.LSTM(4), pynn.Dense(1)]).build((STEPS, FEATURES))
    with pytest.raises(pynn.UnsupportedError, match="lstm"):
        model.export_c("never.h")


# ---- padding


def padded(x, lengths, value=0.0):
    x = x.copy()
    for row, length in enumerate(lengths):
        x[row, length:] = value
    return x


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_padded_row_has_the_bits_that_it_has_alone(data, name, backwards):
    x, y = data
    lengths = np.arange(ROWS) % STEPS + 1
    x = padded(x.astype(np.float32), lengths, -1.0)
    layers = [pynn.Masking(-1.0), LAYERS[name](go_backwards=backwards), pynn.Dense(OUTPUTS)]
    model = made(layers, dtype="float32")
    model.fit(x, y, epochs=2, verbose=0)
    together = model.predict(x)
    for row in range(STEPS):
        alone = made(layers[1:], dtype="float32").build((int(lengths[row]), FEATURES))
        alone.parameters[...] = model.parameters
        np.testing.assert_array_equal(alone.predict(x[row : row + 1, : lengths[row]])[0], together[row])


@pytest.mark.parametrize("pool", [pynn.GlobalAveragePooling1D, pynn.GlobalMaxPooling1D])
def test_pooling_leaves_padding_out(data, pool):
    x, _ = data
    model = made([pynn.Masking(), pynn.GRU(UNITS, return_sequences=True), pool(), pynn.Dense(OUTPUTS)])
    model.build((STEPS, FEATURES))
    shorter = made([pynn.GRU(UNITS, return_sequences=True), pool(), pynn.Dense(OUTPUTS)]).build((3, FEATURES))
    shorter.parameters[...] = model.parameters
    np.testing.assert_array_equal(model.predict(padded(x, [3] * ROWS)), shorter.predict(x[:, :3]))


def test_gradients_pass_over_padding(data):
    x, y = data
    lengths = np.arange(ROWS) % STEPS + 1
    x = padded(x, lengths)
    both = pynn.Bidirectional(pynn.LSTM(UNITS, return_sequences=True))
    model = made([pynn.Masking(), both, pynn.GRU(UNITS), pynn.Dense(OUTPUTS)])
    model.build((STEPS, FEATURES))
    before = model.parameters.copy()
    model.train_step(x, y)
    gradient = (before - model.parameters) / 0.1
    for i in range(0, len(before), 37):
        losses = []
        for h in (1e-5, -1e-5):
            model.parameters[...] = before
            model.parameters[i] += h
            losses.append(model.evaluate(x, y)["loss"])
        assert abs((losses[0] - losses[1]) / 2e-5 - gradient[i]) <= 1e-8


# ---- streams


@pytest.mark.parametrize("name", ["simple", "lstm", "gru", "gru before"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stream_has_the_bits_of_predict(data, name, dtype):
    x, y = data
    x = x.astype(dtype)
    layers = [
        pynn.Dense(4, activation="relu"),
        LAYERS[name](return_sequences=True),
        LAYERS[name](),
        pynn.Dense(OUTPUTS),
    ]
    model = made(layers, dtype=dtype)
    model.fit(x, y, epochs=1, verbose=0)
    stream = model.stream(rows=3)
    for t in range(STEPS):
        state = stream.state
        found = stream.step(x[:3, t])
        shorter = made(layers, dtype=dtype).build((t + 1, FEATURES))
        shorter.parameters[...] = model.parameters
        np.testing.assert_array_equal(found, shorter.predict(x[:3, : t + 1]))
        stream.state = state
        np.testing.assert_array_equal(stream.step(x[:3, t]), found)
    stream.reset()
    assert not stream.state.any()


def test_a_stream_keeps_the_parameters_that_it_began_with(data):
    x, y = data
    model = made([pynn.LSTM(4), pynn.Dense(OUTPUTS)]).build((STEPS, FEATURES))
    stream, before = model.stream(), model.predict(x[:1])
    model.fit(x, y, epochs=1, verbose=0)
    for t in range(STEPS):
        found = stream.step(x[0, t])
    np.testing.assert_array_equal(found, before[0])


@pytest.mark.parametrize(
    "layers",
    [
        [pynn.Bidirectional(pynn.LSTM(3))],
        [pynn.GRU(3, go_backwards=True)],
        [pynn.GRU(3, return_sequences=True), pynn.Flatten()],
        [pynn.GRU(3, return_sequences=True), pynn.GlobalAveragePooling1D()],
    ],
)
def test_a_stream_refuses_what_needs_later_timesteps(layers):
    with pytest.raises(pynn.UnsupportedError, match="later timesteps"):
        made([*layers, pynn.Dense(1)]).build((STEPS, FEATURES)).stream()


def test_a_stream_refuses_bad_timesteps_and_stays_where_it_was(data):
    stream = made([pynn.LSTM(4), pynn.Dense(1)]).build((STEPS, FEATURES)).stream()
    stream.step(data[0][0, 0])
    state = stream.state
    with pytest.raises(pynn.NumericalError):
        stream.step([0.0, np.nan, 1.0])
    for wrong in ([1.0, 2.0], [[1.0, 2.0, 3.0]] * 2, 1.0):
        with pytest.raises(pynn.ShapeError):
            stream.step(wrong)
    np.testing.assert_array_equal(stream.state, state)
    with pytest.raises(pynn.PynnError):
        made([pynn.Dense(1)]).build(3).stream()


# ---- bad input


@pytest.mark.parametrize(
    "shape", [(ROWS,), (ROWS, STEPS * FEATURES), (ROWS, 2, STEPS, FEATURES), (ROWS, 0, 3)], ids=str
)
def test_other_ranks_are_refused(shape):
    with pytest.raises(pynn.ShapeError, match=r"\(rows, timesteps, features\)|at least one row"):
        made([pynn.LSTM(4), pynn.Dense(1)]).fit(np.zeros(shape), np.zeros(ROWS), verbose=0)


def test_other_shapes_are_refused_once_it_is_built(data):
    x, y = data
    model = made([pynn.LSTM(4), pynn.Dense(OUTPUTS)])
    model.fit(x, y, epochs=1, verbose=0)
    for wrong in (x[:, :-1], x[:, :, :-1], x[:, :, 0]):
        with pytest.raises(pynn.ShapeError, match=rf"\(rows, {STEPS}, {FEATURES}\)"):
            model.predict(wrong)


def test_sequences_are_refused_where_no_layer_takes_them(data):
    x, y = data
    with pytest.raises(pynn.ShapeError, match="reshape"):
        made([pynn.Dense(OUTPUTS)]).fit(x, y, verbose=0)


def test_one_timestep_is_a_sequence(data):
    x, y = data
    model = made([pynn.LSTM(4), pynn.Dense(OUTPUTS)])
    history = model.fit(x[:, :1], y, epochs=5, verbose=0)
    assert history["loss"][-1] < history["loss"][0]


def test_bad_cells_are_named(data):
    x, y = data
    x[11, 4, 1] = np.nan
    with pytest.raises(pynn.NonfiniteDataError) as caught:
        made([pynn.LSTM(4), pynn.Dense(OUTPUTS)]).fit(x, y, verbose=0)
    assert (caught.value.row, caught.value.column) == (11, 4 * FEATURES + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pynn.LSTM(0), "units"),
        (lambda: pynn.LSTM(4, activation="gelu"), "activation"),
        (lambda: pynn.GRU(4, recurrent_activation="softmax"), "recurrent_activation"),
        (lambda: pynn.Bidirectional(pynn.Dense(3)), "pynn.LSTM, GRU or SimpleRNN"),
        (lambda: pynn.LSTM(4, return_sequence=True), "return_sequences"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
