# SPDX-License-Identifier: MIT
#
# Reads one source of the library, writes it with every flush behind a switch, and notes each
# site: NUMBER KIND FILE LINE TEXT. See tests/sim/mutate.sh.
#
#	awk -v file=src/slot.c -v first=12 -v sites=SITES -f tests/sim/mutate.awk src/slot.c
#
# What is a site (the line must begin with it, so that nothing but the call is switched off):
#	call     a statement that gathers, flushes, orders or tells; muted it is not made
#	lose     the commit of a gather; muted it happens, and forgets what was gathered
#	drop     a slot is cleared; muted it is not invalidated
#	flag     a flag of a request; muted it is not set
BEGIN {
	n = first
	calls = "gather_(leaf|strides|split|pieces|made_valid|root|table)|note_global|flush_pending|" \
		"kelp_flush_(add|now|execute)|kelp_slot_invalidate|kelp_hw_published|" \
		"kelp_hw_invalidate_(begin|page|all|end)|add_range|end_run|port->shootdown|" \
		"port->wait_for_readers"
}

function site(kind, text) {
	sub(/^[ \t]+/, "", text)
	printf "%d %s %s %d %s\n", n, kind, file, FNR, text >> sites
	return n++
}

{
	text = $0
	if (match($0, "^\t+(" calls ")\\(")) {
		match($0, /^\t+/)
		indent = substr($0, 1, RLENGTH)
		$0 = indent "MUTANT_CALL(" site("call", text) ") " substr($0, RLENGTH + 1)
	} else if ($0 ~ /^\t+(flush->run_next = va|edit->flush->request\.flags \|=|flush->request\.flags \|=|memo->must_flush = )/) {
		match($0, /^\t+/)
		indent = substr($0, 1, RLENGTH)
		rest = substr($0, RLENGTH + 1)
		if (rest ~ /;$/) {
			sub(/;$/, ");", rest)
			$0 = indent "MUTANT_CALL(" site("call", text) ") (void)(" rest
		}
	} else if ($0 ~ /^\t+kelp_flush_commit\(/) {
		sub(/kelp_flush_commit\(/, "MUTANT_COMMIT(" site("lose", text) ", ")
	} else if ($0 ~ /^\t+kelp_slot_clear\(/) {
		sub(/kelp_slot_clear\(/, "MUTANT_CLEAR(" site("drop", text) ", ")
	}
	# Files that only ask for flags are not flush.c, which reads them.
	if (file !~ /flush\.[ch]$/ && $0 !~ /&[ (]*KELP_FLUSH_|==|request\.flags \|=/) {
		out = ""
		rest = $0
		while (match(rest, /KELP_FLUSH_(TABLES|GLOBAL|ROOT|ALL)/)) {
			out = out substr(rest, 1, RSTART - 1) "MUTANT_FLAG(" \
			      site("flag", substr(rest, RSTART, RLENGTH) ": " text) ", " \
			      substr(rest, RSTART, RLENGTH) ")"
			rest = substr(rest, RSTART + RLENGTH)
		}
		$0 = out rest
	}
	print
}
