"""Spans: episodes, decisions and calls, for whoever has set a tracer provider."""

import json
import subprocess
import sys

SCRIPT = """
import json, sys, anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.runtime.ledger_world import LedgerWorld, Script, call
from enactive.episodes.action_log import ActionLog
from enactive.observations import Task
from enactive.runtime.agent_run import AgentRun
from enactive.runtime.run import run

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
script = Script([call("pay", name="ann", amount=1), call("answer", text="done")])
agent = AgentRun(world=LedgerWorld(), policy=lambda model: script, seed=3,
                 task=Task(name="pay", instruction="pay"))
with ActionLog(sys.argv[1]) as log:
    anyio.run(run, agent, log, "e")
spans = exporter.get_finished_spans()
names = {span.context.span_id: span.name for span in spans}
print(json.dumps([[s.name, names.get(s.parent.span_id) if s.parent else None, dict(s.attributes)]
                  for s in spans]))
"""


def test_an_episode_is_a_tree_of_spans(tmp_path):
    """In a process of its own: a tracer provider is set for good."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "actions.sqlite")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    spans = json.loads(done.stdout)
    assert [(name, parent) for name, parent, _ in spans] == [
        ("execute_tool", "decision"), ("decision", "invoke_agent"),
        ("execute_tool", "decision"), ("decision", "invoke_agent"),
        ("invoke_agent", None),
    ]  # fmt: skip
    assert spans[0][2] == {"gen_ai.tool.name": "pay", "enactive.path": "0.0.0"}
    assert spans[-1][2]["enactive.episode"] == "e"
