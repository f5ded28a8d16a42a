/** IPVS's time-outs in seconds (ip_vs_proto_tcp.c, ip_vs_proto_udp.c; GORB's flags have the same defaults). */
export const defaultTimeouts = { tcp: 28_800, tcpfin: 120, udp: 300 } as const
