"""A stand-in for the OpenClaw gateway that speaks its wire protocol, traps included. No model, no cost, no network.

    python -m devstack.openclaw_simulator --port 18789 --token development-token

Without directives it answers deterministically with facts of the text that the prompt brings along (see `brain`); a
prompt that asks for JSON gets JSON. Directives in the prompt make it misbehave; `=N` on a failure means "only the first
N times for this prompt", so that a retry succeeds:

    [[sim:reply=TEXT]]  [[sim:big=BYTES]]     say exactly this; say that many x
    [[sim:delay=S]]  [[sim:chunks=N]]         take S seconds; stream in N parts
    [[sim:tool=NAME]]                         use a tool first
    [[sim:429]] [[sim:500]] [[sim:503]]       the provider fails, after internal retries (`[[sim:retries=N]]`)
    [[sim:400]] [[sim:401]] [[sim:402]] [[sim:404]] [[sim:overflow]]      the provider refuses; 401 and 402 cool it down
    [[sim:empty]] [[sim:no-details]] [[sim:provider-timeout]] [[sim:unclassified]]   further causes
    [[sim:no-cause]]  [[sim:late-cause]]      the event does not tell the cause; it does so after the response
    [[sim:hang]]                              never answer: only the deadline or an abort ends it
    [[sim:drop]]  [[sim:drop-early]]          cut every socket in the middle, or at the start, of the turn (once)
    [[sim:crash]]  [[sim:crash-early]]        kill and restart the gateway in the middle of the turn (once)
    [[sim:refuse]]  [[sim:forbid]]            refuse before acceptance: retryable (once), or for good
    [[sim:slow-accept=S]]                     take S seconds to accept
    [[sim:session-changed]]  [[sim:cooldown]] fail right after acceptance, without a model call
    [[sim:fail-status-error]]                 end with ok:true status:"error"
    [[sim:error-payload=KIND]]                end with ok:true status:"ok" and a payload that is an error
"""

from devstack.openclaw_simulator.gateway import Options
from devstack.openclaw_simulator.server import Simulator, running_simulator

__all__ = ["Options", "Simulator", "running_simulator"]
