"""One step of 512 runs, 4 filters 3 x 3, 256 digits, tanh, float32, against what else trains many runs."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import numpy as np
import torch
from timing import in_turns, rows

from twinfilters.data import digits
from twinfilters.ensemble.draws import Sample
from twinfilters.ensemble.engine import BLOCK, Engine
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent

RUNS, FILTERS, IMAGES, POSITIONS = 512, 4, 256, 36
RATE = 0.1
LOOPED = 64
ACTIVATIONS = RUNS * FILTERS * IMAGES * POSITIONS


def against_frameworks(rng, quick):
    problem = _problem(rng)
    contenders, close = _contenders(problem)
    for name, step in contenders.items():
        _check(problem, name, step())
    loop = {"ours": contenders["ours"], "loop": lambda: _torch_loop(problem)}
    rounds = 5 if quick else 15
    times = in_turns(contenders, rounds)
    slow = in_turns(loop, 3)
    slow["torch autograd, one run after the other"] = [seconds * RUNS / LOOPED for seconds in slow["loop"]]
    close()
    work = f"step of {RUNS} runs"
    yield from rows(work, slow, {"torch autograd, one run after the other": 5.0})
    yield from rows(work, times, {"torch vmap(grad)": 3.0, "torch compile(vmap(grad))": 1.0})
    yield from rows(
        work, times, {"jax jit(vmap(grad)), convolution": 1.0, "jax jit(vmap(grad)), patches": 1.0}
    )
    yield from rows(work, times, {"ours, backend torch": None, "tanh alone, NumPy (the floor)": None})
    for name, seconds in times.items():
        middle = 1e9 * np.median(seconds) / ACTIVATIONS
        low, high = 1e9 * np.quantile(seconds, (0.25, 0.75)) / ACTIVATIONS
        yield f"    {name:<40} {middle:6.2f} ns an activation ({low:.2f} to {high:.2f})"


def _problem(rng):
    pictures = digits(3, 8, count=IMAGES)
    shapes = {
        "filters": (FILTERS, 1, 3, 3),
        "bias": (FILTERS,),
        "readout": (1, FILTERS),
        "readout_bias": (1,),
    }
    return SimpleNamespace(
        images=pictures.images.astype(np.float32),
        targets=pictures.targets.astype(np.float32),
        parameters={
            name: rng.normal(scale=0.5, size=(RUNS, *shape)).astype(np.float32)
            for name, shape in shapes.items()
        },
    )


def _contenders(problem):
    torch_step = torch.func.vmap(_torch_step, in_dims=(0, None, None))
    compiled = torch.compile(torch_step)
    tensors = {name: torch.from_numpy(value) for name, value in problem.parameters.items()}
    data = torch.from_numpy(problem.images), torch.from_numpy(problem.targets)
    numpy_step, close = _ours(problem, "numpy")
    backend_step, close_backend = _ours(problem, "torch")
    pool = ThreadPoolExecutor(torch.get_num_threads())
    blocks = np.zeros((ACTIVATIONS // BLOCK["numpy"], BLOCK["numpy"]), np.float32) + np.float32(0.3)
    room = np.empty_like(blocks)
    net = _net(problem, 0)
    patches = net.patches(problem.images)

    def close_all():
        close(), close_backend(), pool.shutdown()

    return {
        "ours": numpy_step,
        "ours, backend torch": backend_step,
        "torch vmap(grad)": lambda: torch_step(tensors, *data),
        "torch compile(vmap(grad))": lambda: compiled(tensors, *data),
        "jax jit(vmap(grad)), convolution": _jax(problem, problem.images, _jax_convolution),
        "jax jit(vmap(grad)), patches": _jax(problem, patches, _jax_patches),
        "tanh alone, NumPy (the floor)": lambda: list(pool.map(np.tanh, blocks, room)),
    }, close_all


def _net(problem, run):
    return FilterNet(**{name: value[run] for name, value in problem.parameters.items()})


def _ours(problem, backend):
    net = _net(problem, 0)
    engine = Engine(net, net.patches(problem.images), backend, "cpu")
    sample = Sample(None, problem.targets[None])
    parameters = {name: np.stack(list(value), -1) for name, value in problem.parameters.items()}
    rule = GradientDescent(RATE)

    def step():
        _, gradients = engine(parameters, sample)
        stepped, _ = rule.update(parameters, gradients, None)
        return {name: np.moveaxis(value, -1, 0) for name, value in stepped.items()}

    return step, engine.close


def _torch_loss(parameters, images, targets):
    values = torch.tanh(torch.nn.functional.conv2d(images, parameters["filters"], parameters["bias"]))
    outputs = values.mean((2, 3)) @ parameters["readout"].T + parameters["readout_bias"]
    return 0.5 * ((outputs - targets) ** 2).sum(1).mean()


def _torch_step(parameters, images, targets):
    gradients = torch.func.grad(_torch_loss)(parameters, images, targets)
    return {name: value - RATE * gradients[name] for name, value in parameters.items()}


def _torch_loop(problem):
    images, targets = torch.from_numpy(problem.images), torch.from_numpy(problem.targets)
    for run in range(LOOPED):
        parameters = {
            name: torch.from_numpy(value[run].copy()).requires_grad_()
            for name, value in problem.parameters.items()
        }
        _torch_loss(parameters, images, targets).backward()
        with torch.no_grad():
            for value in parameters.values():
                value -= RATE * value.grad


def _jax(problem, data, features):
    def loss(parameters, data, targets):
        outputs = features(parameters, data) @ parameters["readout"].T + parameters["readout_bias"]
        return 0.5 * ((outputs - targets) ** 2).sum(1).mean()

    def step(parameters, data, targets):
        gradients = jax.grad(loss)(parameters, data, targets)
        return {name: value - RATE * gradients[name] for name, value in parameters.items()}

    many = jax.jit(jax.vmap(step, in_axes=(0, None, None)))
    arguments = jax.device_put((problem.parameters, data, problem.targets))
    return lambda: jax.block_until_ready(many(*arguments))


def _jax_convolution(parameters, images):
    values = jax.lax.conv_general_dilated(images, parameters["filters"], (1, 1), "VALID")
    return jax.numpy.tanh(values + parameters["bias"][:, None, None]).mean((2, 3))


def _jax_patches(parameters, patches):
    filters = parameters["filters"].reshape(FILTERS, -1)
    values = jax.numpy.einsum("kd,ndp->nkp", filters, patches) + parameters["bias"][:, None]
    return jax.numpy.tanh(values).mean(2)


def _check(problem, name, stepped):
    """All make the same step."""
    if name.startswith("tanh"):
        return
    run = RUNS - 1
    net = _net(problem, run)
    _, gradients = net.loss_and_gradients(problem.images, problem.targets)
    for part, gradient in gradients.items():
        wanted = net.parameters[part] - RATE * gradient
        np.testing.assert_allclose(np.asarray(stepped[part][run]), wanted, rtol=0, atol=1e-5, err_msg=name)
