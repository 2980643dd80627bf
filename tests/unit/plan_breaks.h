/* Ways to break the plan of fix_full, one field each: X(name, statements about `p`). Each must be noticed by plan_check. */
#pragma once

#define Z(i) (p->zones[i])

#define BREAKS(X)                                                                                                                \
	X(bits_low, p->phys_bits = 35)                                                                                           \
	X(bits_high, p->phys_bits = 53)                                                                                          \
	X(bits_too_few, p->phys_bits = 36)                                                                                       \
	X(bits_huge, p->phys_bits = 255)                                                                                         \
	X(zones_0, p->n_zones = 0)                                                                                               \
	X(zones_many, p->n_zones = LIM_ZONES + 1)                                                                                \
	X(zones_max, p->n_zones = SIZE_MAX)                                                                                      \
	X(zones_less, p->n_zones--)                                                                                              \
	X(zones_more, p->n_zones++)                                                                                              \
	X(pieces_0, p->n_pieces = 0)                                                                                             \
	X(pieces_many, p->n_pieces = PLAN_PIECES_MAX + 1)                                                                        \
	X(pieces_max, p->n_pieces = SIZE_MAX)                                                                                    \
	X(pieces_less, p->n_pieces--)                                                                                            \
	X(pieces_more, p->n_pieces++)                                                                                            \
	X(windows_0, p->n_windows = 0)                                                                                           \
	X(windows_many, p->n_windows = PLAN_WINDOWS_MAX + 1)                                                                     \
	X(windows_max, p->n_windows = SIZE_MAX)                                                                                  \
	X(windows_less, p->n_windows--)                                                                                          \
	X(windows_more, p->n_windows++)                                                                                          \
	X(nodes_many, p->n_nodes = LIM_NODES + 1)                                                                                \
	X(nodes_less, p->n_nodes--)                                                                                              \
	X(nodes_0, p->n_nodes = 0)                                                                                               \
	X(nodes_more, p->n_nodes++)                                                                                              \
	X(segments_0, p->n_segments = 0)                                                                                         \
	X(segments_many, p->n_segments = LIM_SEGMENTS + 1)                                                                       \
	X(segments_less, p->n_segments--)                                                                                        \
	X(segments_more, p->n_segments++)                                                                                        \
	X(epc_many, p->n_epc = LIM_EPC + 1)                                                                                      \
	X(epc_less, p->n_epc--)                                                                                                  \
	X(epc_more, p->n_epc++)                                                                                                  \
	X(id_empty, Z(0).id[0] = 0)                                                                                              \
	X(id_unterminated, memset(Z(0).id, 'a', sizeof(Z(0).id)))                                                                \
	X(id_slash, Z(0).id[1] = '/')                                                                                            \
	X(id_control, Z(0).id[1] = '\n')                                                                                         \
	X(id_high, Z(0).id[1] = (char)0xc3)                                                                                      \
	X(id_reserved, memcpy(Z(0).id, "__ram", 6))                                                                              \
	X(id_twice, memcpy(Z(1).id, Z(0).id, sizeof(Z(0).id)))                                                                   \
	X(id_of_epc, memcpy(Z(1).id, "epc0", 5))                                                                                 \
	X(backing_unknown, Z(0).backing = (enum backing)5)                                                                       \
	X(backing_negative, Z(0).backing = (enum backing) - 1)                                                                   \
	X(backing_huge, Z(MFD).backing = BACKING_HUGETLB)                                                                        \
	X(backing_small, Z(HUGE).backing = BACKING_MEMFD)                                                                        \
	X(backing_file_bound, Z(FILE_P).backing = BACKING_FILE_SHARED)                                                           \
	X(size_odd, Z(ANON).size += 1)                                                                                           \
	X(size_more, Z(ANON).size += 4 * KiB)                                                                                    \
	X(size_less, Z(ANON).size -= 4 * KiB)                                                                                    \
	X(size_0, Z(ANON).size = 0)                                                                                              \
	X(size_max, Z(ANON).size = UINT64_MAX)                                                                                   \
	X(page_0, Z(ANON).page_size = 0)                                                                                         \
	X(page_odd, Z(ANON).page_size = 4097)                                                                                    \
	X(page_2m, Z(ANON).page_size = 2 * MiB)                                                                                  \
	X(page_huge_4k, Z(HUGE).page_size = 4 * KiB)                                                                             \
	X(page_huge_0, Z(HUGE).page_size = 0)                                                                                    \
	X(page_huge_odd, Z(HUGE).page_size = 3 * MiB)                                                                            \
	X(page_huge_2g, Z(HUGE).page_size = 2 * GiB)                                                                             \
	X(bool_prefault, set_bool(&Z(0).prefault, 2))                                                                            \
	X(bool_reserve, set_bool(&Z(0).reserve, 0x80))                                                                           \
	X(bool_thp, set_bool(&Z(0).thp, 255))                                                                                    \
	X(bool_mergeable, set_bool(&Z(0).mergeable, 3))                                                                          \
	X(thp_huge, Z(HUGE).thp = true)                                                                                          \
	X(thp_file, Z(FILE_S).thp = true)                                                                                        \
	X(merge_shared, Z(MFD).mergeable = true)                                                                                 \
	X(merge_huge, Z(HUGE).mergeable = true)                                                                                  \
	X(merge_file, Z(FILE_P).mergeable = true)                                                                                \
	X(policy_unknown, Z(0).host_policy = (enum host_policy)5)                                                                \
	X(policy_alone, Z(0).host_policy = HOST_POLICY_BIND)                                                                     \
	X(policy_unset, Z(HUGE).host_policy = HOST_POLICY_UNSET)                                                                 \
	X(policy_local, Z(HUGE).host_policy = HOST_POLICY_LOCAL)                                                                 \
	X(policy_two, Z(FILE_P).host_policy = HOST_POLICY_PREFERRED)                                                             \
	X(nodes_alone, nodeset_add(&Z(0).host_nodes, 0))                                                                         \
	X(nodes_gone, memset(&Z(HUGE).host_nodes, 0, sizeof(struct nodeset)))                                                    \
	X(cpus_alone, nodeset_add(&Z(0).host_cpus, 0))                                                                           \
	X(shared_file_local, Z(FILE_S).host_policy = HOST_POLICY_LOCAL)                                                          \
	X(guest_node, Z(0).guest_node = 2)                                                                                       \
	X(guest_node_max, Z(0).guest_node = UINT32_MAX)                                                                          \
	X(hotplug_gone, Z(PLUG).hotplug_size = 0)                                                                                \
	X(hotplug_odd, Z(PLUG).hotplug_size += 2 * MiB)                                                                          \
	X(hotplug_max, Z(PLUG).hotplug_size = UINT64_MAX & ~(128 * MiB - 1))                                                     \
	X(hotplug_less, Z(PLUG).hotplug_size -= 128 * MiB)                                                                       \
	X(hotplug_new, Z(ANON).hotplug_size = 128 * MiB)                                                                         \
	X(hotplug_start, Z(PLUG).hotplug.start.v += 128 * MiB)                                                                   \
	X(hotplug_start_odd, Z(PLUG).hotplug.start.v += 2 * MiB)                                                                 \
	X(hotplug_len, Z(PLUG).hotplug.len.v += 128 * MiB)                                                                       \
	X(hotplug_stray_start, Z(ANON).hotplug.start.v = 4 * GiB)                                                                \
	X(hotplug_stray_len, Z(ANON).hotplug.len.v = 1)                                                                          \
	X(hotplugged_more, Z(PLUG).hotplugged_size = 2 * GiB + 2 * MiB)                                                          \
	X(hotplugged_odd, Z(PLUG).hotplugged_size += MiB)                                                                        \
	X(hotplugged_stray, Z(ANON).hotplugged_size = 2 * MiB)                                                                   \
	X(block_0, Z(PLUG).block_size = 0)                                                                                       \
	X(block_odd, Z(PLUG).block_size = 3 * MiB)                                                                               \
	X(block_small, Z(PLUG).block_size = MiB)                                                                                 \
	X(block_large, Z(PLUG).block_size = 4 * MiB)                                                                             \
	X(block_stray, Z(ANON).block_size = 2 * MiB)                                                                             \
	X(piece_zone, p->pieces[0].zone = 6)                                                                                     \
	X(piece_zone_max, p->pieces[0].zone = UINT16_MAX)                                                                        \
	X(piece_of_other, p->pieces[1].zone = 0)                                                                                 \
	X(piece_offset, p->pieces[0].offset = 4 * KiB)                                                                           \
	X(piece_offset_max, p->pieces[0].offset = UINT64_MAX)                                                                    \
	X(piece_start, p->pieces[0].at.start.v = 4 * KiB)                                                                        \
	X(piece_start_odd, p->pieces[1].at.start.v += 1)                                                                         \
	X(piece_overlap, p->pieces[1].at.start.v -= 4 * KiB)                                                                     \
	X(piece_in_gap, p->pieces[2].at.start.v = 3 * GiB)                                                                       \
	X(piece_over_gap, p->pieces[1].at.start.v = 2 * GiB + 4 * KiB)                                                           \
	X(piece_unaligned, p->pieces[2].at.start.v += 2 * MiB)                                                                   \
	X(piece_empty, p->pieces[0].at.len.v = 0)                                                                                \
	X(piece_long, p->pieces[0].at.len.v += 4 * KiB)                                                                          \
	X(piece_short, p->pieces[0].at.len.v -= 4 * KiB)                                                                         \
	X(piece_wraps, p->pieces[4].at.start.v = UINT64_MAX - 4095)                                                              \
	X(piece_beyond, p->pieces[4].at.start.v = UINT64_C(1) << 46)                                                             \
	X(piece_at_top, p->pieces[4].at.start.v = (UINT64_C(1) << 46) - 8 * GiB)                                                 \
	X(piece_in_window, p->pieces[4].at.start.v = 9 * GiB)                                                                    \
	X(piece_order, swap_pieces(p, 3, 4))                                                                                     \
	X(piece_swapped_zones, p->pieces[3].zone = FILE_P; p->pieces[4].zone = FILE_S; Z(FILE_P).size -= 4 * KiB)                \
	X(window_kind, p->windows[0].kind = (enum plan_window_kind)8)                                                            \
	X(window_kind_negative, p->windows[0].kind = (enum plan_window_kind) - 1)                                                \
	X(window_kind_other, window(p, WINDOW_HOLE)->kind = WINDOW_PLATFORM)                                                     \
	X(window_empty, window(p, WINDOW_HOLE)->at.len.v = 0)                                                                    \
	X(window_wraps, window(p, WINDOW_PCI64)->at.len.v = UINT64_MAX)                                                          \
	X(window_beyond, window(p, WINDOW_PCI64)[1].at.len.v += UINT64_C(1) << 45)                                               \
	X(window_overlap, window(p, WINDOW_PCI32)->at.len.v += MiB)                                                              \
	X(window_order, struct plan_window t = p->windows[1]; p->windows[1] = p->windows[2]; p->windows[2] = t)                  \
	X(hole_index, window(p, WINDOW_HOLE)->index = 1)                                                                         \
	X(hole_in_ram, window(p, WINDOW_HOLE)->at.start.v -= 4 * KiB)                                                            \
	X(hole_odd, window(p, WINDOW_HOLE)->at.len.v -= 1)                                                                       \
	X(hole_behind_ram, add_window(p, WINDOW_HOLE, 0, 9 * GiB - 600 * MiB + 100 * MiB, 4 * KiB))                              \
	X(hole_in_gap, add_window(p, WINDOW_HOLE, 0, 0xf0000000, MiB))                                                           \
	X(pci32_index, window(p, WINDOW_PCI32)->index = 2)                                                                       \
	X(pci32_twice, window(p, WINDOW_PCI32)->index = 1)                                                                       \
	X(pci32_odd, window(p, WINDOW_PCI32)->at.len.v -= 4 * KiB)                                                               \
	X(pci32_missing, drop_window(p, WINDOW_PCI32))                                                                           \
	X(ecam_moved, window(p, WINDOW_ECAM)[1].at.start.v += MiB)                                                               \
	X(ecam_long, window(p, WINDOW_ECAM)[1].at.len.v += MiB)                                                                  \
	X(ecam_index, window(p, WINDOW_ECAM)[1].index = 0)                                                                       \
	X(ecam_missing, drop_window(p, WINDOW_ECAM))                                                                             \
	X(platform_short, window(p, WINDOW_PLATFORM)->at.len.v -= MiB)                                                           \
	X(platform_index, window(p, WINDOW_PLATFORM)->index = 1)                                                                 \
	X(platform_missing, drop_window(p, WINDOW_PLATFORM))                                                                     \
	X(zone_window_index, window(p, WINDOW_HOTPLUG_ZONE)->index = 0)                                                          \
	X(zone_window_range, window(p, WINDOW_HOTPLUG_ZONE)->index = 700)                                                        \
	X(zone_window_moved, window(p, WINDOW_HOTPLUG_ZONE)->at.len.v -= MiB)                                                    \
	X(zone_window_acpi, window(p, WINDOW_HOTPLUG_ZONE)->kind = WINDOW_HOTPLUG_ACPI)                                          \
	X(zone_window_missing, drop_window(p, WINDOW_HOTPLUG_ZONE))                                                              \
	X(epc_window_index, window(p, WINDOW_EPC)->index = 1)                                                                    \
	X(epc_window_range, window(p, WINDOW_EPC)->index = 16)                                                                   \
	X(epc_window_moved, window(p, WINDOW_EPC)->at.len.v -= 4 * KiB)                                                          \
	X(epc_window_missing, drop_window(p, WINDOW_EPC))                                                                        \
	X(pci64_index, window(p, WINDOW_PCI64)->index = 2)                                                                       \
	X(pci64_odd, window(p, WINDOW_PCI64)->at.len.v -= GiB)                                                                   \
	X(pci64_missing, drop_window(p, WINDOW_PCI64))                                                                           \
	X(node_order, p->nodes[0].guest_numa_id = 8)                                                                             \
	X(node_same, p->nodes[0].guest_numa_id = 7)                                                                              \
	X(node_cpu_twice, nodeset_add(&p->nodes[0].cpus, 2))                                                                     \
	X(node_cpu_far, nodeset_add(&p->nodes[0].cpus, 255))                                                                     \
	X(node_cpu_gap, nodeset_add(&p->nodes[0].cpus, 7))                                                                       \
	X(node_cpu_gone, memset(&p->nodes[1].cpus, 0, sizeof(struct nodeset)))                                                   \
	X(node_cpus_none, memset(&p->nodes[0].cpus, 0, sizeof(struct nodeset));                                                  \
	  memset(&p->nodes[1].cpus, 0, sizeof(struct nodeset)))                                                                  \
	X(distance_self, p->distance[1][1] = 11)                                                                                 \
	X(distance_10, p->distance[0][1] = 10)                                                                                   \
	X(distance_0, p->distance[1][0] = 0)                                                                                     \
	X(distance_255, p->distance[1][0] = 255)                                                                                 \
	X(segment_0_node, p->segment_node[0] = 1)                                                                                \
	X(segment_node, p->segment_node[1] = 2)                                                                                  \
	X(epc_id, p->epc[0].id[0] = 0)                                                                                           \
	X(epc_id_reserved, memcpy(p->epc[0].id, "__e", 4))                                                                       \
	X(epc_id_unterminated, memset(p->epc[0].id, 'a', sizeof(p->epc[0].id)))                                                  \
	X(epc_id_twice, memcpy(p->epc[1].id, p->epc[0].id, sizeof(p->epc[0].id)))                                                \
	X(epc_bool, set_bool(&p->epc[0].prefault, 2))                                                                            \
	X(epc_node, p->epc[1].node = 2)                                                                                          \
	X(epc_moved, p->epc[1].at.start.v += 4 * KiB)                                                                            \
	X(epc_moved_both, p->epc[1].at.start.v += 4 * KiB; window(p, WINDOW_EPC)[1].at.start.v += 4 * KiB)                       \
	X(epc_odd, p->epc[1].at.len.v -= 1; window(p, WINDOW_EPC)[1].at.len.v -= 1)                                              \
	X(epc_empty, p->epc[1].at.len.v = 0; window(p, WINDOW_EPC)[1].at.len.v = 0)
