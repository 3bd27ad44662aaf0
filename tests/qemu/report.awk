# SPDX-License-Identifier: MIT
#
# report.awk: build/run/report.json from the serial line of a story.
#
#	awk -v status=N -v milliseconds=N -v serial=FILE -v disk=TEXT -f report.awk serial.log
#
# `disk` says what is wrong with the disk after the run; empty: nothing.
function quote(text) {
	gsub(/[\\"]/, "\\\\&", text)
	gsub(/[\001-\037]/, "", text)
	return "\"" text "\""
}

{ sub(/\r$/, "") }

/^report: [a-z0-9_]+ [0-9]+$/ {
	key[keys++] = $2
	value[$2] = $3
}

/^(not )?ok [0-9]+ - / {
	ok = $1 == "ok"
	name = $0
	sub(/^(not )?ok [0-9]+ - /, "", name)
	skipped = name ~ / # SKIP/
	sub(/ # .*$/, "", name)
	test[tests++] = "{\"name\": " quote(name) ", \"result\": \"" \
		(!ok ? "failed" : skipped ? "skipped" : "passed") "\"}"
}

/^panic on CPU/ { panic = $0 }

END {
	# Where the machine is carried over, the kernel that came last says how long the way took.
	arrived = !("resume_us" in value) || ("kexec_us" in value)
	passed = status == 0 && value["verdict"] == 1 && arrived && disk == ""
	print "{"
	print "  \"schema\": 1,"
	print "  \"verdict\": " (passed ? "\"passed\"" : "\"failed\"") ","
	print "  \"exit_status\": " status + 0 ","
	print "  \"wall_milliseconds\": " milliseconds + 0 ","
	print "  \"serial_log\": " quote(serial) ","
	print "  \"disk\": " (disk == "" ? "\"as it should be\"" : quote(disk)) ","
	if (panic != "")
		print "  \"panic\": " quote(panic) ","
	print "  \"measured\": {"
	for (i = 0; i < keys; i++)
		print "    " quote(key[i]) ": " value[key[i]] (i + 1 < keys ? "," : "")
	print "  },"
	print "  \"tests\": ["
	for (i = 0; i < tests; i++)
		print "    " test[i] (i + 1 < tests ? "," : "")
	print "  ]"
	print "}"
	exit !passed
}
