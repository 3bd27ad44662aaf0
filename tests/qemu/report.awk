# SPDX-License-Identifier: MIT
#
# report.awk: build/run/report.json from the serial line of a story.
#
#	awk -v status=N -v milliseconds=N -v serial=FILE -v disk=TEXT -f report.awk serial.log
#
# `disk` says what is wrong with the disk after the run; empty: nothing.
#
# Besides all that was measured the report has the parts of the story by themselves: boot, hibernate,
# resume, kexec. One that is missing fails the run: a story that was cut short is none.
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

# Seconds, and MiB per second, from microseconds.
function seconds(key) {
	return key in value ? sprintf("%.3f", value[key] / 1000000) : "null"
}

function rate(bytes, us) {
	return us in value && value[us] ? sprintf("%.1f", value[bytes] / 1048576 / (value[us] / 1000000)) : "null"
}

# One line of a part; a key that nobody reported is null, and missed.
function line(name, text, key, last) {
	if (!(key in value)) {
		missed = missed " " key
		text = "null"
	}
	return "    " quote(name) ": " text (last ? "" : ",")
}

function plain(name, key, last) {
	return line(name, key in value ? value[key] : "", key, last)
}

function parts() {
	print "  \"boot\": {"
	for (i = 0; i < value["paging_levels"]; i++)
		print plain("leaves_level_" i, "final_leaves_level_" i)
	print plain("tables", "final_tables")
	print plain("first_test_milliseconds", "first_test_ms", 1)
	print "  },"
	print "  \"hibernate\": {"
	print plain("frames", "hibernate_frames")
	print plain("zero_frames", "hibernate_zero_frames")
	print plain("uniform_frames", "hibernate_uniform_frames")
	print plain("absent_frames", "fill_absent")
	print plain("secret_frames", "fill_secret")
	print plain("hot_added_frames", "fill_hot_added")
	print plain("bytes_in", "hibernate_bytes_in")
	print plain("bytes_on_disk", "hibernate_bytes_on_disk")
	print line("mib_per_second", rate("hibernate_bytes_in", "hibernate_us"), "hibernate_us")
	print line("seconds", seconds("hibernate_us"), "hibernate_us", 1)
	print "  },"
	print "  \"resume\": {"
	print plain("frames", "resume_frames")
	print plain("frames_moved", "resume_frames_moved")
	print plain("frames_verified", "resume_frames_verified")
	print plain("differ", "resume_differ")
	print plain("threads", "resume_threads")
	print line("seconds_to_verify", seconds("resume_verify_us"), "resume_verify_us")
	print line("seconds_to_load", seconds("resume_us"), "resume_us")
	value["resume_all_us"] = value["resume_verify_us"] + value["resume_us"]
	print line("seconds", seconds("resume_all_us"), "resume_us")
	print line("mib_per_second", rate("hibernate_bytes_in", "resume_all_us"), "resume_us", 1)
	print "  },"
	print "  \"kexec\": {"
	print line("target", quote("holdfast"), "kexec_us")
	print line("seconds", seconds("kexec_us"), "kexec_us", 1)
	print "  },"
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
	# A kernel that can carry its machine over has done it, and the one that came last has spoken.
	needs = "final_tables verdict" (("carries" in value) ? \
		" hibernate_frames resume_frames_verified resume_differ resume_us kexec_us" : "")
	for (i = split(needs, need); i > 0; i--)
		missed = missed (need[i] in value ? "" : " " need[i])
	passed = status == 0 && missed == "" && disk == "" && value["verdict"] == 1 && \
		(!("carries" in value) || value["resume_differ"] == 0)
	print "{"
	print "  \"schema\": 1,"
	print "  \"verdict\": " (passed ? "\"passed\"" : "\"failed\"") ","
	print "  \"exit_status\": " status + 0 ","
	print "  \"wall_milliseconds\": " milliseconds + 0 ","
	print "  \"serial_log\": " quote(serial) ","
	print "  \"disk\": " (disk == "" ? "\"as it should be\"" : quote(disk)) ","
	if (panic != "")
		print "  \"panic\": " quote(panic) ","
	if (missed != "")
		print "  \"missing\": " quote(substr(missed, 2)) ","
	if ("carries" in value)
		parts()
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
