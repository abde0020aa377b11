"""A simulator of the OpenClaw gateway and its wire protocol, with its pitfalls. No model, no cost, no network.

    python -m simulators.openclaw --port 18789 --token development-token

Without directives it responds deterministically with facts about the prompt's text (see `canned_answers`); a
prompt that asks for JSON gets JSON. Directives in the prompt cause faults; `=N` on a failure means "only the first
N times for this prompt", so that a retry succeeds:

    [[sim:reply=TEXT]]  [[sim:big=BYTES]]     say exactly this; say that many x
    [[sim:blank]]  [[sim:think]]              say nothing; only reasoning
    [[sim:half-emoji]]                        say a lone surrogate, as a stream that is cut in mid-character does
    [[sim:delay=S]]  [[sim:chunks=N]]         take S seconds; stream in N parts
    [[sim:tool=NAME]]                         use a tool first
    [[sim:429]] [[sim:500]] [[sim:503]]       the provider fails, after internal retries (`[[sim:retries=N]]`)
    [[sim:400]] [[sim:401]] [[sim:402]] [[sim:404]] [[sim:overflow]]      the provider refuses; 401 and 402 cool it down
    [[sim:empty]] [[sim:no-details]] [[sim:provider-timeout]] [[sim:unclassified]]   further causes
    [[sim:no-cause]]  [[sim:late-cause]]      the event has no cause; it comes after the response
    [[sim:stubborn]]                          the internal retries go on past the turn's time limit
    [[sim:hang]]                              never respond: only the deadline or an abort ends it
    [[sim:drop]]  [[sim:drop-early]]          cut every socket in the middle, or at the start, of the turn (once)
    [[sim:crash]]  [[sim:crash-early]]        kill and restart the gateway in the middle of the turn (once)
    [[sim:refuse]]  [[sim:forbid]]            refuse before acceptance: retryable (once), or for good
    [[sim:slow-accept=S]]                     take S seconds to accept
    [[sim:session-changed]]  [[sim:cooldown]] fail right after acceptance, without a model call
    [[sim:fail-status-error]]                 end with ok:true status:"error"
    [[sim:error-payload=KIND]]                end with ok:true status:"ok" and a payload that is an error
"""

from simulators.openclaw.gateway import Options
from simulators.openclaw.server import Simulator, running_simulator

__all__ = ["Options", "Simulator", "running_simulator"]
