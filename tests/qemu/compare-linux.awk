# SPDX-License-Identifier: MIT
#
# compare-linux.awk: the table of `make compare-linux`, from the log of the Linux that hibernated,
# the log of the machine it resumed in, and build/run/report.json (or /dev/null).

function seconds_at() { return match($0, /\[ *[0-9.]+\]/) ? substr($0, RSTART + 1, RLENGTH - 2) + 0 : 0 }
function number_before(word,   n, part) { n = index($0, word); split(substr($0, 1, n - 1), part, " "); return last(part) }
function last(part,   i) { for (i = 1; i in part; i++) ; return part[i - 1] + 0 }
function text(value, format) { return value == "" ? "-" : sprintf(format, value) }
function row(name, linux, holdfast) { printf "%-44s %14s %14s\n", name, linux, holdfast }
function mib(bytes) { return bytes == "" ? "" : bytes / 1048576 }
function rate(bytes, seconds) { return bytes == "" || seconds == "" || seconds == 0 ? "" : bytes / 1e6 / seconds }

FNR == 1 { file++ }

file == 1 && /PM: hibernation: hibernation entry/ { entry = seconds_at() }
file == 1 && /PM: hibernation: Wrote .* kbytes/ { wrote_kb = number_before(" kbytes"); wrote = number_before(" seconds") }
file == 1 && /PM: Image saving done/ { saved = seconds_at() }
file == 1 && /compare: filled_frames/ { filled = $3 }
# The resuming kernel's clock; the resumed one's own goes on where it was.
file == 2 && /PM: hibernation: resume from hibernation/ { resume = seconds_at() }
file == 2 && /PM: hibernation: Read .* kbytes/ { read_kb = number_before(" kbytes"); read = number_before(" seconds"); loaded = seconds_at() }
file == 2 && /compare: swapped_frames/ { swapped = $3 }
file == 2 && /compare: verified_frames/ { verified = $3 }
file == 2 && /compare: differing_frames/ { differ = $3 }
file == 3 && match($0, /"[a-z0-9_]+": [0-9]+/) {
	key = substr($0, RSTART + 1); sub(/".*/, "", key)
	value = $0; sub(/^[^:]*: /, "", value)
	h[key] = value + 0
}

END {
	has = "hibernate_us" in h
	linux_bytes = (wrote_kb / 4 + swapped) * 4096
	printf "\n%s processors, %s, filled to %s %%, one virtio disk, QEMU\n\n", cpus, memory, percent
	row("", "Linux " substr(version, 1, 8), "Holdfast")
	row("frames filled with the same contents", filled, text(h["fill_frames"], "%d"))
	row("frames in the image", text(wrote_kb / 4, "%d"), text(h["hibernate_frames"], "%d"))
	row("  of these zero or uniform, not stored", "-", has ? h["hibernate_zero_frames"] + h["hibernate_uniform_frames"] : "-")
	row("frames swapped out first, to make room", swapped, has ? 0 : "-")
	row("MiB on the disk", text(mib(on_disk), "%.1f"), text(mib(h["hibernate_bytes_on_disk"]), "%.1f"))
	row("encrypted and authenticated", "no", has ? "yes" : "-")
	row("writing the image: seconds", text(wrote, "%.2f"), text(has ? h["hibernate_us"] / 1e6 : "", "%.2f"))
	row("  MB/s of memory", text(rate(wrote_kb * 1024, wrote), "%.1f"), text(rate(h["hibernate_bytes_in"], has ? h["hibernate_us"] / 1e6 : ""), "%.1f"))
	row("all of it, making room included: seconds", text(saved - entry, "%.2f"), text(has ? h["hibernate_us"] / 1e6 : "", "%.2f"))
	row("  MB/s of memory", text(rate(linux_bytes, saved - entry), "%.1f"), text(rate(h["hibernate_bytes_in"], has ? h["hibernate_us"] / 1e6 : ""), "%.1f"))
	row("reading it: seconds", text(read, "%.2f"), text("resume_us" in h ? h["resume_us"] / 1e6 : "", "%.2f"))
	row("  MB/s of memory", text(rate(read_kb * 1024, read), "%.1f"), text("resume_us" in h ? rate(h["resume_frames"] * 4096, h["resume_us"] / 1e6) : "", "%.1f"))
	row("all of it: seconds", text(loaded - resume, "%.2f"), text("resume_us" in h ? (h["resume_us"] + h["resume_verify_us"]) / 1e6 : "", "%.2f"))
	row("frames verified afterwards", verified, text(h["resume_frames_verified"], "%d"))
	row("  of these different", differ, text(h["resume_differ"], "%d"))
	print ""
	print "Linux stores at most half of memory: the rest goes to swap before, and comes back page by page"
	print "after its resume; that is in no figure of reading. Linux's times are its own log's (\"PM:\")."
	if (!has)
		print "Holdfast's column: `make run` first."
}
