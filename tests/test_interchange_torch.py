"""PyTorch: modules, state dicts and files in, modules and files out, and training that goes on as it would there."""

import copy
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import cli

torch = pytest.importorskip("torch")
nn = torch.nn

X = np.random.default_rng(0).normal(size=(40, 7))
Y = np.random.default_rng(1).normal(size=(40, 3))
ACTIVATIONS = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.CELU(), nn.SELU(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(),
    nn.Mish(), nn.Softplus(), nn.LogSigmoid(), nn.Softsign(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh(), nn.Softmax(-1),
]  # fmt: skip


def module(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(7, 9), nn.BatchNorm1d(9), nn.ReLU(),
        nn.Sequential(nn.Linear(9, 9, bias=False), nn.LayerNorm(9), nn.Tanh()), nn.Dropout(0.0), nn.Identity(),
        nn.Linear(9, 3),
    ).to(dtype)  # fmt: skip


def outputs(net, x=X):
    net.eval()
    with torch.no_grad():
        return net(torch.tensor(x).to(next(net.parameters()).dtype)).numpy()


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activations_in_and_out(activation):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(7, 5), activation, nn.Linear(5, 3)).double()
    model = pynn.from_torch(net)
    assert len(model.layers) == 2
    assert np.allclose(model.predict(X * 3), outputs(net, X * 3), rtol=1e-12, atol=1e-12)
    back = model.to_torch()
    assert np.allclose(outputs(back, X * 3), model.predict(X * 3), rtol=1e-12, atol=1e-12)


def test_a_chain_of_layers_in_and_out():
    net = module()
    net.train()
    net(torch.tensor(X) * 2 + 1)  # moves the moving moments
    model = pynn.from_torch(net)
    assert model.dtype == np.float64
    assert np.allclose(model.predict(X), outputs(net), rtol=1e-12, atol=1e-12)
    assert np.allclose(outputs(model.to_torch()), model.predict(X), rtol=1e-12, atol=1e-12)
    single = pynn.from_torch(module(torch.float32))
    assert single.dtype == np.float32
    assert np.allclose(single.predict(X), outputs(module(torch.float32)), atol=5e-7)


def test_to_torch_does_what_predict_does():
    rng = np.random.default_rng(3)
    table = np.column_stack([rng.normal(5, 9, (50, 3)), rng.integers(0, 4, 50)])
    table[::7, 1] = np.nan
    for dimension in (None, 3):
        layers = [
            pynn.Normalization(missing="median", clip=2.0, columns=[0, 1, 2]), pynn.Categorical([3], dimension),
            pynn.Dense(8, activation="gelu"),
            pynn.Residual([pynn.BatchNormalization(scale=False), pynn.Dense(8, activation="exponential")]),
            pynn.LayerNormalization(center=False), pynn.GaussianNoise(0.1), pynn.Dropout(0.2),
            pynn.Dense(3, activation="softmax"),
        ]  # fmt: skip
        model = pynn.Sequential(layers, seed=0, dtype="float64")
        model.compile("softmax_cross_entropy", "adam")
        model.fit(table, rng.integers(0, 3, 50), epochs=2)
        table[0, 3] = 99
        for link in (True, False):
            net = model.to_torch(link=link)
            found = net(torch.tensor(table)).detach().numpy()
            assert np.allclose(found, model.predict(table, raw=not link), rtol=1e-10, atol=1e-12)


def test_what_pytorch_has_not_comes_back():
    model = pynn.Sequential([
        pynn.Normalization(clip=2.0), pynn.Dense(7, activation="exponential"), pynn.GaussianNoise(0.1),
        pynn.Residual([pynn.Dense(7, activation="tanh"), pynn.Residual([pynn.Dense(7)])]), pynn.Dense(3),
    ], seed=0, dtype="float64")  # fmt: skip
    model.compile("mse")
    model.fit(X, Y)
    again = pynn.from_torch(model.to_torch())
    assert [layer.spec.kind for layer in again.layers] == [layer.spec.kind for layer in model.layers]
    assert np.array_equal(again.predict(X), model.predict(X))


def test_scaled_targets_are_in_their_units():
    model = pynn.Sequential([pynn.Dense(3)], seed=0)
    model.compile("mse", target_scaling="standard")
    model.fit(X, Y * 100 + 1e6)
    assert np.allclose(outputs(model.to_torch()), model.predict(X), rtol=1e-6)


@pytest.mark.parametrize("bad", [
    nn.Sequential(nn.Conv1d(1, 2, 3)), nn.Sequential(nn.Linear(7, 3), nn.LogSoftmax(-1)), nn.Linear(3, 3),
    nn.Sequential(nn.Linear(7, 3), nn.Softplus(beta=2)), nn.Sequential(nn.Linear(7, 3), nn.Linear(4, 3)),
    nn.Sequential(nn.Linear(7, 3), nn.BatchNorm1d(3, momentum=None)), nn.Sequential(nn.ReLU()),
    nn.Sequential(nn.Linear(7, 3), nn.Softmax(0)),
], ids=str)  # fmt: skip
def test_what_pynn_does_not_compute_is_named(bad):
    if isinstance(bad, nn.Linear):
        pynn.from_torch(bad)  # a single layer is a chain
        return
    with pytest.raises(pynn.UnsupportedError, match=r"expected .*received"):
        pynn.from_torch(bad)


def test_own_modules_and_hooks_are_refused():
    class Net(nn.Module):
        pass

    with pytest.raises(pynn.UnsupportedError, match=r"like=model"):
        pynn.from_torch(Net())
    net = nn.Sequential(nn.Linear(7, 3))
    net[0].register_forward_hook(lambda *_: None)
    with pytest.raises(pynn.UnsupportedError, match="hooks"):
        pynn.from_torch(net)


# ---- files


def test_a_file_is_read_without_pytorch(tmp_path):
    net = module()
    torch.save(net.state_dict(), tmp_path / "w.pt")
    pynn.from_torch(module(seed=1)).save(tmp_path / "m.safetensors")
    code = f"""
import sys
sys.modules["torch"] = None
import pynn, numpy as np
model = pynn.load({str(tmp_path / "m.safetensors")!r})
model.load_weights({str(tmp_path / "w.pt")!r})
np.save({str(tmp_path / "p.npy")!r}, model.predict(np.ones((2, 7))))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert np.allclose(np.load(tmp_path / "p.npy"), outputs(net, np.ones((2, 7))), rtol=1e-12)


def test_offsets_strides_and_shared_storages_count(tmp_path):
    big = torch.arange(200, dtype=torch.float64).reshape(10, 20)
    shared = torch.arange(30, dtype=torch.float64)
    state = {"0.weight": big[2:9, 3:8].T, "0.bias": shared[10:15], "2.weight": shared[:15].reshape(3, 5),
             "2.bias": shared[::10]}  # fmt: skip
    torch.save(state, tmp_path / "w.pt")
    model = pynn.Sequential([pynn.Dense(5, activation="relu"), pynn.Dense(3)], dtype="float64").build(7)
    model.load_weights(tmp_path / "w.pt")
    for layer, name in ((0, "0"), (1, "2")):
        assert np.array_equal(model.layers[layer].kernel, state[f"{name}.weight"].T.numpy())
        assert np.array_equal(model.layers[layer].bias, state[f"{name}.bias"].numpy())


def test_other_dtypes_are_converted(tmp_path):
    model = pynn.Sequential([pynn.Dense(3)]).build(7)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        net = nn.Sequential(nn.Linear(7, 3)).to(dtype)
        torch.save(net.state_dict(), tmp_path / "w.pt")
        model.load_weights(tmp_path / "w.pt")
        assert np.array_equal(model.layers[0].kernel, net[0].weight.detach().float().numpy().T)


def test_what_is_no_state_dict_is_refused_with_the_line_that_helps(tmp_path):
    model = pynn.Sequential([pynn.Dense(3)]).build(7)
    torch.save(nn.Sequential(nn.Linear(7, 3)), tmp_path / "whole.pt")
    with pytest.raises(pynn.FileFormatError, match=r"torch.nn.modules.container Sequential.*\.state_dict\(\)"):
        model.load_weights(tmp_path / "whole.pt")
    torch.save({"0.weight": torch.zeros(3, 7), "shape": torch.Size([3, 7])}, tmp_path / "global.pt")
    with pytest.raises(pynn.FileFormatError, match="torch Size"):
        model.load_weights(tmp_path / "global.pt")
    torch.save(nn.Linear(7, 3).state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(pynn.FileFormatError, match=r"before PyTorch 1\.6"):
        model.load_weights(tmp_path / "old.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(pynn.FileFormatError, match="with 'epoch'"):
        model.load_weights(tmp_path / "none.pt")
    torch.save(nn.Sequential(nn.Linear(7, 3)).state_dict(), tmp_path / "w.pt")
    with pytest.raises(pynn.FileFormatError, match="weights without their layers"):
        pynn.load(tmp_path / "w.pt")
    with pytest.raises(pynn.FileFormatError, match="state of an optimizer"):
        model.load_weights(tmp_path / "w.pt", optimizer=True)


def test_convert_writes_a_file_for_pytorch(tmp_path):
    model = pynn.from_torch(module())
    model.save(tmp_path / "m.safetensors")
    assert cli.main(["convert", str(tmp_path / "m.safetensors"), str(tmp_path / "w.pt")]) == 0
    net = model.to_torch()
    net.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    other = pynn.from_torch(module(seed=4))
    other.save(tmp_path / "like.safetensors")
    like, found = str(tmp_path / "like.safetensors"), str(tmp_path / "back.safetensors")
    assert cli.main(["convert", str(tmp_path / "w.pt"), found, "--like", like]) == 0
    assert np.array_equal(pynn.load(found).predict(X), model.predict(X))


# ---- training goes on

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-4),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.95, eps=1e-3),
    "rmsprop momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-3),
}


def train(net, optimizer, steps):
    net.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(torch.tensor(X)), torch.tensor(Y)).backward()
        optimizer.step()


def parameters(net):
    return np.concatenate([(p.T if p.ndim == 2 else p).detach().numpy().ravel() for p in net.parameters()])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_go_on_as_in_pytorch(name, tmp_path):
    net = module()
    optimizer = OPTIMIZERS[name](net.parameters())
    train(net, optimizer, 5)
    model = pynn.from_torch(net, optimizer=optimizer, loss="mse")
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 5}, tmp_path / "c.pt")
    again = pynn.from_torch(module(seed=9))
    again.compile("mse", "sgd")
    again.load_weights(tmp_path / "c.pt", optimizer=True)
    third = pynn.from_torch(net.state_dict(), like=again, optimizer=optimizer)
    train(net, optimizer, 20)
    for resumed in (model, again, third):
        for _ in range(20):
            resumed.train_step(X, Y)
        assert np.abs(resumed.parameters - parameters(net)).max() < 1e-9


def test_what_an_optimizer_does_otherwise_is_refused():
    net = module()
    for optimizer in (
        torch.optim.RAdam(net.parameters()), torch.optim.SGD(net.parameters(), maximize=True),
        torch.optim.SGD(net.parameters(), weight_decay=0.1), torch.optim.Adamax(net.parameters()),
        torch.optim.SGD([{"params": net[1].parameters()}, {"params": net[7].parameters(), "lr": 1.0}]),
        torch.optim.RMSprop(net.parameters(), centered=True), torch.optim.Adagrad(net.parameters(), lr_decay=0.1),
        torch.optim.SGD(net.parameters(), momentum=0.9, dampening=0.5),
    ):  # fmt: skip
        with pytest.raises(pynn.UnsupportedError, match="expected"):
            pynn.from_torch(net, optimizer=optimizer, loss="mse")


def test_nothing_is_changed_when_a_checkpoint_does_not_fit(tmp_path):
    net = module()
    optimizer = torch.optim.Adam(net.parameters(), weight_decay=0.1)
    train(net, optimizer, 1)
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.pt")
    model = pynn.from_torch(module(seed=9))
    model.compile("mse", "sgd")
    before = copy.deepcopy(model)
    with pytest.raises(pynn.UnsupportedError, match="weight_decay"):
        model.load_weights(tmp_path / "c.pt", optimizer=True)
    assert np.array_equal(model.parameters, before.parameters)
    assert model.optimizer == before.optimizer
