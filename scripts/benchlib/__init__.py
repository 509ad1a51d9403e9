"""The parts of `scripts/bench`.

Read them in the order a measurement moves:

    machine    what this machine is and which tools it has
    process    programs started pinned to cores, their CPU time and memory, their end
    stage      the place of one run: cores, temporary folder, backends, proxies
    backends   the servers behind the proxies (sink.rs is the one that reads uploads)
    proxies    how each proxy is told to do the same work (relay.c is the one without HTTP, the yardstick)
    load       wrk, its Lua scripts, and a small client of our own
    cases      what is measured, and the targets
    measure    interleaved repetitions: CPU time per request, throughput, latency
    results    what was measured, as it is kept in a file and read again
    figures    what is not a load: memory, system calls, instructions, size, start
    trace      the system calls of a running proxy, counted
    report     the Markdown tables, with ratios and verdicts
    plot       the ratios as an SVG
    article    the Python pair that footbridge grew out of
"""
