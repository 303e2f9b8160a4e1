-- Prints wrk's totals as one line that load.py reads; wrk's own text rounds the times.
-- Behind `--`: milliseconds that each connection waits before it asks again.
local pause = 0

function init(args)
  pause = tonumber(args[1]) or 0
end

function delay()
  return pause
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format("BENCH %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max, e.status, e.connect + e.read + e.write + e.timeout))
end
