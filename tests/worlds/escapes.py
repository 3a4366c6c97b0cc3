"""Programs that try to leave a sandbox, or to take the machine with them.

Each attempt is Python source, in which braces name what it is aimed at: ``{canary}`` is a file of
this machine that holds a secret, ``{folder}`` the folder it is in, ``{port}`` a listener on the
loopback interface, ``{pid}`` this process. What becomes of an attempt is judged by what happened
outside, not by what it says; if it says the secret, it has escaped.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """One program."""

    name: str
    source: str
    kind: str = ""
    """Its family, from the heading it stands under."""
    harmless: bool = False
    """Whether it may end without an error, as what it did stays inside or did nothing."""


def filled(source: str, **names: object) -> str:
    """The source of an attempt with what its braces name."""
    for name, value in names.items():
        source = source.replace("{" + name + "}", str(value))
    return source


FAMILIES: dict[str, tuple[Attempt, ...]] = {}


def family(kind: str, *attempts: tuple[str, str] | tuple[str, str, bool]) -> None:
    """Note the attempts of a kind."""
    FAMILIES[kind] = tuple(
        Attempt(name=one[0], source=one[1], kind=kind, harmless=len(one) == 3) for one in attempts
    )


YES = True

family(
    "files",
    ("open", "open('{canary}').read()"),
    ("io", "import io\nio.open('{canary}').read()"),
    ("pathlib", "import pathlib\npathlib.Path('{canary}').read_text()"),
    ("os.open", "import os\nos.read(os.open('{canary}', os.O_RDONLY), 100)"),
    ("codecs", "import codecs\ncodecs.open('{canary}').read()"),
    ("up and down", "open('/tmp/../../../../{canary}').read()"),
    ("relative", "open('../../../../../../..{canary}').read()"),
    ("password file", "open('/etc/passwd').read()"),
    ("shadow file", "open('/etc/shadow').read()"),
    ("home", "import os\nos.listdir(os.path.expanduser('~'))"),
    ("list the folder", "import os\nos.listdir('{folder}')"),
    ("write", "open('{folder}/new', 'w').write('x')"),
    ("append", "open('{canary}', 'a').write('x')"),
    ("remove", "import os\nos.remove('{canary}')"),
    ("rename", "import os\nos.rename('{canary}', '{folder}/moved')"),
    ("tree", "import shutil\nshutil.rmtree('{folder}')"),
    ("link", "import os\nos.symlink('{canary}', '/tmp/link')\nopen('/tmp/link').read()"),
    ("hard link", "import os\nos.link('{canary}', '/tmp/hard')\nopen('/tmp/hard').read()"),
    ("through proc", "open('/proc/1/root{canary}').read()"),
    ("through this process", "open('/proc/{pid}/root{canary}').read()"),
    ("descriptors", "import os\n[os.listdir('/proc/self/fd'), os.listdir('/dev/fd')]"),
    ("environment", "import os\nos.environ['ENACTIVE_SECRET']"),
    ("environment in proc", "open('/proc/{pid}/environ').read()"),
    ("memory of this process", "open('/proc/{pid}/mem', 'rb').read(1)"),
    (
        "mount",
        "import ctypes\nr = ctypes.CDLL(None).mount(b'/', b'/tmp', None, 4096, None)\n1 // (r + 1)",
    ),
    ("chroot", "import os\nos.chroot('/tmp')"),
    ("device", "import os\nos.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))"),
    ("make the system writable", "import os\nos.chmod('/sandbox/driver.py', 0o777)"),
    ("replace the driver", "open('/sandbox/driver.py', 'w').write('x')"),
    ("private folder", "open('/tmp/mine', 'w').write('x')", YES),
)

family(
    "network",
    ("connect", "import socket\nsocket.create_connection(('127.0.0.1', {port}), 1).send(b'x')"),
    ("datagram", "import socket\ns = socket.socket(2, 2)\ns.sendto(b'x', ('127.0.0.1', {port}))"),
    ("raw", "import socket\nsocket.socket(2, 3, 1)"),
    (
        "http",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/', timeout=1)",
    ),
    (
        "http client",
        "import http.client\nhttp.client.HTTPConnection('127.0.0.1', {port}, timeout=1)"
        ".request('GET', '/')",
    ),
    ("asyncio", "import asyncio\nawait asyncio.open_connection('127.0.0.1', {port})"),
    ("listen", "import socket\ns = socket.socket()\ns.bind(('0.0.0.0', 0))\ns.listen()"),
    ("unix socket", "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/run/dbus')"),
    ("names", "import socket\nsocket.gethostbyname('example.org')"),
    ("netlink", "import socket\nsocket.socket(16, 3, 0)"),
    (
        "ctypes",
        "import ctypes\nf = ctypes.CDLL(None, use_errno=True).socket(2, 1, 0)\n1 // (f + 1)",
    ),
)

family(
    "processes",
    ("system", "import os\n0 // (os.system('touch {folder}/new') == 0)"),
    ("popen", "import os\nos.popen('cat {canary}').read() or 1 // 0"),
    ("subprocess", "import subprocess\nsubprocess.run(['touch', '{folder}/new'])"),
    ("fork", "import os\nos.fork()"),
    ("fork bomb", "import os\nwhile True:\n    os.fork()"),
    ("spawn", "import os\nos.posix_spawn('/bin/sh', ['sh', '-c', 'id'], {})"),
    ("exec", "import os\nos.execv('/bin/sh', ['sh', '-c', 'id'])"),
    (
        "multiprocessing",
        "import multiprocessing\np = multiprocessing.Process(target=print)\np.start()",
    ),
    ("threads", "import threading\nwhile True:\n    threading.Thread(target=lambda: None).start()"),
    ("pty", "import pty\npty.spawn('/bin/sh')"),
    ("kill this process", "import os\nos.kill({pid}, 9)"),
    ("kill all", "import os\nos.kill(-1, 9)", YES),
    ("kill the group", "import os\nos.killpg(0, 9)", YES),
    ("trace", "import ctypes\nr = ctypes.CDLL(None).ptrace(16, {pid}, 0, 0)\n1 // (r + 1)"),
    ("nice", "import os\nos.nice(-20)"),
    ("ctypes fork", "import ctypes\nr = ctypes.CDLL(None).fork()\n1 // (r + 1)"),
    ("ctypes system", "import ctypes\n1 // (ctypes.CDLL(None).system(b'touch {folder}/new') == 0)"),
    ("new namespace", "import ctypes\nr = ctypes.CDLL(None).unshare(0x10000000)\n1 // (r + 1)"),
    ("ring", "import ctypes\nr = ctypes.CDLL(None).syscall(425, 8, 0)\n1 // (r + 1)"),
    ("other table", "import ctypes\nr = ctypes.CDLL(None).syscall(0x40000000 + 57)\n1 // (r + 1)"),
    ("leave", "import os\nos._exit(0)"),
    ("exit", "raise SystemExit(0)"),
    ("crash", "import ctypes\nctypes.string_at(0)"),
)

family(
    "memory",
    ("list", "x = []\nwhile True:\n    x.append('a' * 1_000_000)"),
    ("text", "x = 'a' * 10**10\nlen(x)"),
    ("number", "x = 10 ** 10 ** 8\nx % 7"),
    ("shift", "x = 1 << 10 ** 11\nx % 7"),
    ("doubling", "x = 'ab'\nwhile True:\n    x += x"),
    ("replace", "x = ('a' * 100000).replace('a', 'b' * 100000)\nlen(x)"),
    ("format", "x = f'{1:>{10**10}}'\nlen(x)"),
    ("percent", "x = '%10000000000d' % 1\nlen(x)"),
    ("join", "x = ('a' * 1000000).join(['b'] * 1000000)\nlen(x)"),
    ("bytes", "x = bytearray(10 ** 11)\nlen(x)"),
    ("range", "x = list(range(10 ** 10))\nlen(x)"),
    ("recursion", "def f(n):\n    return f(n + 1)\nf(0)"),
    ("mutual recursion", "def f():\n    return g()\ndef g():\n    return f()\nf()"),
    ("nested value", "x = []\nfor i in range(100000):\n    x = [x]\nx", YES),
    ("shared value", "x = ['a' * 100]\nfor i in range(60):\n    x = [x, x]\nx", YES),
    ("shared argument", "x = ['a' * 100]\nfor i in range(60):\n    x = [x, x]\nput_down(x)"),
    ("endless object", "x = {}\nx['x'] = x\nput_down(x)", YES),
    ("map anonymous", "import mmap\nmmap.mmap(-1, 10 ** 11)"),
    (
        "fill the folder",
        "i = 0\nwhile True:\n    open('/tmp/f' + str(i), 'w').write('a' * 10**6)\n    i += 1",
    ),
    (
        "shared memory",
        "from multiprocessing import shared_memory\n"
        "shared_memory.SharedMemory(create=True, size=10 ** 9)",
    ),
)

family(
    "time",
    ("loop", "while True:\n    pass"),
    (
        "caught",
        "while True:\n    try:\n        while True:\n            pass\n"
        "    except BaseException:\n        pass",
    ),
    ("power", "pow(3, 10 ** 9, 10 ** 9000) % 7\nwhile True:\n    pow(7, 3 ** 200, 10 ** 4000 + 1)"),
    (
        "regular expression",
        "import re\nre.match('(a+)+(b+)+$', 'a' * 60 + 'c')\n"
        "re.match('(a|a)*(a|aa)*b', 'a' * 300)\nwhile True:\n    pass",
    ),
    (
        "signals",
        "import signal\nsignal.alarm(0)\nsignal.signal(15, lambda *a: None)\nwhile True:\n    pass",
    ),
    ("sleep", "import time\ntime.sleep(10 ** 9)", YES),
    ("await nothing", "import asyncio\nawait asyncio.Event().wait()"),
    ("finally", "try:\n    while True:\n        pass\nfinally:\n    while True:\n        pass"),
    (
        "sort",
        "class X:\n    def __lt__(self, other):\n        while True:\n            pass\n"
        "sorted([X(), X()])",
    ),
    (
        "representation",
        "class X:\n    def __repr__(self):\n        while True:\n            pass\n"
        "print(X())\nwhile True:\n    pass",
    ),
)

family(
    "names",
    ("subclasses", "().__class__.__base__.__subclasses__()[0].__init__.__globals__['x']"),
    (
        "import through subclasses",
        "[c for c in ().__class__.__mro__[1].__subclasses__()"
        " if c.__name__ == 'Popen'][0](['touch', '{folder}/new'])",
    ),
    ("globals of a tool", "look.__globals__['shelf']"),
    ("closure of a tool", "look.__closure__[0].cell_contents.box"),
    ("tool itself", "look.__self__.called.clear()"),
    ("frames", "import sys\nsys._getframe(50).f_globals['canary']"),
    ("generators", "(lambda: (yield))().gi_frame.f_back.f_back.f_globals['canary']"),
    (
        "traceback",
        "try:\n    1 / 0\nexcept Exception as e:\n"
        "    f = e.__traceback__.tb_frame\n    f.f_back.f_back.f_back.f_back.f_globals['canary']",
    ),
    ("builtins", "__builtins__['open']('{canary}').read()"),
    ("import", "__import__('os').system('touch {folder}/new')\nopen('{folder}/new')"),
    ("eval", "eval(\"open('{canary}').read()\")"),
    ("exec", "exec(\"leak = open('{canary}').read()\")\nleak"),
    ("compile", "exec(compile(\"leak = open('{canary}').read()\", 'x', 'exec'))\nleak"),
    ("format", "'{0.__class__.__init__.__globals__[canary]}'.format(look)"),
    ("getattr", "getattr(getattr('', '__cla' + 'ss__'), '__subcl' + 'asses__')()[10 ** 6]"),
    (
        "loader",
        "import importlib\nimportlib.import_module('subprocess').run(['touch', '{folder}/new'])",
    ),
    (
        "code object",
        "f = lambda: None\nf.__code__ = f.__code__.replace(co_code=b'\\xff' * 64)\nf()",
    ),
    ("garbage", "import gc\n[o for o in gc.get_objects() if 'canary' in str(type(o))][0]"),
    (
        "pickle",
        "import pickle\n"
        "pickle.loads(b\"cos\\nsystem\\n(S'touch {folder}/new'\\ntR.\") < 1 and 1 // 0",
        YES,
    ),
    (
        "hooks",
        "import sys\nsys.settrace(None)\nsys.modules['os'].system('touch {folder}/new') < 1"
        " and 1 // 0\nopen('{folder}/new')",
    ),
)

family(
    "parsers",
    ("parentheses", "(" * 20000 + "1" + ")" * 20000),
    ("brackets", "x = " + "[" * 5000 + "]" * 5000),
    ("minus", "-" * 45000 + "1"),
    ("not", "not " * 12000 + "1"),
    ("attributes", "a" + ".b" * 24000),
    ("calls", "print" + "()" * 20000),
    ("sum", "+".join(["1"] * 24000) + "\n1 // 0"),
    ("comparisons", "<".join(["1"] * 20000) + "\n1 // 0"),
    ("lambdas", "lambda:" * 7000 + "1\n1 // 0"),
    ("indentation", "\n".join(" " * i + "if 1:" for i in range(300)) + "\n" + " " * 300 + "pass"),
    ("elif", "if 0:\n    pass\n" + "elif 0:\n    pass\n" * 2500 + "1 // 0"),
    ("digits", "9" * 49000),
    ("f-strings", 'f"' + "{" * 901 + "1" + "}" * 900 + '"'),
    ("quotes", "x = '" + "a" * 49000),
    ("nulls", "x = 1\0\ny = 2"),
    ("encoding", "# coding: utf-7\n+AGEAYgBj-"),
    ("surrogates", "x = '\\ud800'\nprint(x)\n1 // 0"),
    ("surrogates in the source", "x = '\ud800'"),
    ("too long", "x = 1\n" * 10000),
    ("decorators", "@a\n" * 12000 + "def f(): pass"),
    ("exec of a bomb", "exec('(' * 100000)"),
    ("eval of a bomb", "eval('-' * 10000000 + '1')"),
    ("literal of a bomb", "import ast\nast.literal_eval('[' * 100000)"),
    ("json bomb", "import json\njson.loads('[' * 1000000)"),
)

family(
    "floods",
    ("print", "while True:\n    print('x' * 1000)"),
    ("no newline", "while True:\n    print('x', end='')"),
    ("one line", "print('x' * 10 ** 7)"),
    ("errors", "import sys\nwhile True:\n    sys.stderr.write('x' * 1000)"),
    ("descriptor", "import os\nwhile True:\n    os.write(1, b'x' * 1000)"),
    ("value", "'x' * 10 ** 7", YES),
    ("message", "raise ValueError('x' * 10 ** 7)"),
    (
        "chain",
        "def f(n):\n    try:\n        f(n - 1) if n else 1 / 0\n"
        "    except Exception as e:\n        raise ValueError('x' * 1000)\nf(100)",
    ),
    ("calls", "while True:\n    look('a')"),
    (
        "gathered calls",
        "import asyncio\nawait asyncio.gather(*[look_async('a') for i in range(10000)])",
    ),
    (
        "failing calls",
        "while True:\n    try:\n        look('nowhere')\n    except Exception:\n        pass",
    ),
    ("arguments", "put_down('x' * 10 ** 8)"),
)

PIPE = """\
import gc, json, os
channel = [o for o in gc.get_objects() if type(o).__name__ == 'Channel'][0]
into, nonce = channel._into, channel._nonce
"""
family(
    "pipe",
    ("garbage", PIPE + "os.write(into, b'\\xff\\xfe garbage\\n')\nlook('a')"),
    ("no object", PIPE + "os.write(into, b'[1, 2]\\n')\nlook('a')"),
    ("endless frame", PIPE + "while True:\n    os.write(into, b'x' * 60000)"),
    ("nested frame", PIPE + "os.write(into, b'[' * 60000 + b'\\n')\nlook('a')"),
    ("huge number", PIPE + "os.write(into, b'9' * 60000 + b'\\n')\nlook('a')"),
    (
        "two frames",
        PIPE + "f = json.dumps({'nonce': nonce, 'value': 1}).encode() + b'\\n'\n"
        "os.write(into, f + f)\nlook('a')",
    ),
    ("another's nonce", PIPE + 'os.write(into, b\'{"nonce": "0", "value": 1}\\n\')\nlook(\'a\')'),
    (
        "unknown tool",
        PIPE + "f = {'nonce': nonce, 'calls': [{'name': 'format_disk', 'args': [],"
        " 'kwargs': {}}]}\nos.write(into, json.dumps(f).encode() + b'\\n')\n"
        "1 // (not channel.read())",
    ),
    (
        "no calls",
        PIPE + "os.write(into, json.dumps({'nonce': nonce, 'calls': []}).encode() + b'\\n')\n"
        "look('a')",
    ),
    (
        "calls of no shape",
        PIPE + "f = {'nonce': nonce, 'calls': [1]}\n"
        "os.write(into, json.dumps(f).encode() + b'\\n')\nlook('a')",
    ),
    (
        "arguments of no shape",
        PIPE + "f = {'nonce': nonce, 'calls': [{'name': ['look'], 'args': 3,"
        " 'kwargs': []}]}\nos.write(into, json.dumps(f).encode() + b'\\n')\n"
        "1 // (not channel.read())",
    ),
    (
        "not a number",
        PIPE + "f = {'nonce': nonce, 'calls': [{'name': 'look', 'args': [float('nan')],"
        " 'kwargs': {}}]}\nos.write(into, json.dumps(f).encode() + b'\\n')\n"
        "1 // (not channel.read())",
    ),
    (
        "a second end",
        PIPE + "class Late(str):\n    pass\n"
        "f = json.dumps({'nonce': nonce, 'value': 'early'}).encode() + b'\\n'\n"
        "os.write(into, f)\nimport time\ntime.sleep(0.05)\nlook('a')",
        YES,
    ),
    ("close", PIPE + "os.close(into)\nlook('a')"),
    ("close all", "import os\nos.closerange(0, 64)\nprint('x')\nlook('a')"),
    ("stop reading", "import os\nos.close(0)\nwhile True:\n    pass"),
    (
        "every descriptor",
        "import os\nfor i in range(64):\n    try:\n        os.write(i, b'{}\\n')\n"
        "    except OSError:\n        pass\nlook('a')",
    ),
)
