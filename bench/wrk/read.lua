-- Reads: wrk ... -s read.lua URL.

-- As in write.lua.
function done(summary, latency)
	local errors = summary.errors
	print(string.format("RESULT %.0f %.2f %.2f %d %d",
		summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000,
		summary.requests, errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
