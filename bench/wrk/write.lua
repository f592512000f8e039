-- Writes of so many lines: wrk ... -s write.lua URL -- LINES [DATABASES]. Bodies are made before the clock runs, and sent in
-- turn, to so many databases in turn.
local bodies, turn, databases = {}, 0, 1

function init(args)
	local lines = tonumber(args[1])
	databases = tonumber(args[2] or 1)
	local count = math.max(4, math.floor(2000 / lines))
	local begin = 1600000000
	for body = 1, count do
		local text = {}
		for line = 1, lines do
			local n = body * lines + line
			text[line] = string.format(
				"cpu,host=host%d,region=eu-west usage_user=%d.5,usage_system=%d.25,idle=%di %d000000000",
				n % 100, n % 90, n % 10, n, begin + n)
		end
		bodies[body] = table.concat(text, "\n") .. "\n"
	end
end

function request()
	turn = turn % #bodies + 1
	local path = databases > 1 and "/write?db=bench" .. turn % databases or nil
	return wrk.format("POST", path, nil, bodies[turn])
end

-- Requests a second, milliseconds at the 50th and 99th percentile, requests, what went wrong.
function done(summary, latency)
	local errors = summary.errors
	print(string.format("RESULT %.0f %.2f %.2f %d %d",
		summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000,
		summary.requests, errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
