
[000h 0000   4]                    Signature : "SRAT"    [System Resource Affinity Table]
[004h 0004   4]                 Table Length : 000001D0
[008h 0008   1]                     Revision : 03
[009h 0009   1]                     Checksum : FE
[00Ah 0010   6]                       Oem ID : "BLKHD "
[010h 0016   8]                 Oem Table ID : "BULKHEAD"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "BLKH"
[020h 0032   4]        Asl Compiler Revision : 00000001

[024h 0036   4]               Table Revision : 00000001
[028h 0040   8]                     Reserved : 0000000000000000

[030h 0048   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[031h 0049   1]                       Length : 10

[032h 0050   1]      Proximity Domain Low(8) : 03
[033h 0051   1]                      Apic ID : 00
[034h 0052   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[038h 0056   1]              Local Sapic EID : 00
[039h 0057   3]    Proximity Domain High(24) : 000000
[03Ch 0060   4]                 Clock Domain : 00000000

[040h 0064   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[041h 0065   1]                       Length : 10

[042h 0066   1]      Proximity Domain Low(8) : 03
[043h 0067   1]                      Apic ID : 01
[044h 0068   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[048h 0072   1]              Local Sapic EID : 00
[049h 0073   3]    Proximity Domain High(24) : 000000
[04Ch 0076   4]                 Clock Domain : 00000000

[050h 0080   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[051h 0081   1]                       Length : 10

[052h 0082   1]      Proximity Domain Low(8) : 03
[053h 0083   1]                      Apic ID : 04
[054h 0084   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[058h 0088   1]              Local Sapic EID : 00
[059h 0089   3]    Proximity Domain High(24) : 000000
[05Ch 0092   4]                 Clock Domain : 00000000

[060h 0096   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[061h 0097   1]                       Length : 10

[062h 0098   1]      Proximity Domain Low(8) : 03
[063h 0099   1]                      Apic ID : 05
[064h 0100   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[068h 0104   1]              Local Sapic EID : 00
[069h 0105   3]    Proximity Domain High(24) : 000000
[06Ch 0108   4]                 Clock Domain : 00000000

[070h 0112   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[071h 0113   1]                       Length : 10

[072h 0114   1]      Proximity Domain Low(8) : 07
[073h 0115   1]                      Apic ID : 02
[074h 0116   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[078h 0120   1]              Local Sapic EID : 00
[079h 0121   3]    Proximity Domain High(24) : 000000
[07Ch 0124   4]                 Clock Domain : 00000000

[080h 0128   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[081h 0129   1]                       Length : 10

[082h 0130   1]      Proximity Domain Low(8) : 07
[083h 0131   1]                      Apic ID : 03
[084h 0132   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[088h 0136   1]              Local Sapic EID : 00
[089h 0137   3]    Proximity Domain High(24) : 000000
[08Ch 0140   4]                 Clock Domain : 00000000

[090h 0144   1]                Subtable Type : 01 [Memory Affinity]
[091h 0145   1]                       Length : 28

[092h 0146   4]             Proximity Domain : 00000003
[096h 0150   2]                    Reserved1 : 0000
[098h 0152   8]                 Base Address : 0000000000000000
[0A0h 0160   8]               Address Length : 0000000040001000
[0A8h 0168   4]                    Reserved2 : 00000000
[0ACh 0172   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[0B0h 0176   8]                    Reserved3 : 0000000000000000

[0B8h 0184   1]                Subtable Type : 01 [Memory Affinity]
[0B9h 0185   1]                       Length : 28

[0BAh 0186   4]             Proximity Domain : 00000003
[0BEh 0190   2]                    Reserved1 : 0000
[0C0h 0192   8]                 Base Address : 0000000040001000
[0C8h 0200   8]               Address Length : 0000000040000000
[0D0h 0208   4]                    Reserved2 : 00000000
[0D4h 0212   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[0D8h 0216   8]                    Reserved3 : 0000000000000000

[0E0h 0224   1]                Subtable Type : 01 [Memory Affinity]
[0E1h 0225   1]                       Length : 28

[0E2h 0226   4]             Proximity Domain : 00000007
[0E6h 0230   2]                    Reserved1 : 0000
[0E8h 0232   8]                 Base Address : 0000000100000000
[0F0h 0240   8]               Address Length : 0000000100000000
[0F8h 0248   4]                    Reserved2 : 00000000
[0FCh 0252   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[100h 0256   8]                    Reserved3 : 0000000000000000

[108h 0264   1]                Subtable Type : 01 [Memory Affinity]
[109h 0265   1]                       Length : 28

[10Ah 0266   4]             Proximity Domain : 00000003
[10Eh 0270   2]                    Reserved1 : 0000
[110h 0272   8]                 Base Address : 0000000200000000
[118h 0280   8]               Address Length : 0000000010000000
[120h 0288   4]                    Reserved2 : 00000000
[124h 0292   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[128h 0296   8]                    Reserved3 : 0000000000000000

[130h 0304   1]                Subtable Type : 01 [Memory Affinity]
[131h 0305   1]                       Length : 28

[132h 0306   4]             Proximity Domain : 00000003
[136h 0310   2]                    Reserved1 : 0000
[138h 0312   8]                 Base Address : 0000000210000000
[140h 0320   8]               Address Length : 0000000010000000
[148h 0328   4]                    Reserved2 : 00000000
[14Ch 0332   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[150h 0336   8]                    Reserved3 : 0000000000000000

[158h 0344   1]                Subtable Type : 01 [Memory Affinity]
[159h 0345   1]                       Length : 28

[15Ah 0346   4]             Proximity Domain : 00000007
[15Eh 0350   2]                    Reserved1 : 0000
[160h 0352   8]                 Base Address : 0000000220000000
[168h 0360   8]               Address Length : 0000000080000000
[170h 0368   4]                    Reserved2 : 00000000
[174h 0372   4]        Flags (decoded below) : 00000003
                                     Enabled : 1
                               Hot Pluggable : 1
                                Non-Volatile : 0
[178h 0376   8]                    Reserved3 : 0000000000000000

[180h 0384   1]                Subtable Type : 01 [Memory Affinity]
[181h 0385   1]                       Length : 28

[182h 0386   4]             Proximity Domain : 00000003
[186h 0390   2]                    Reserved1 : 0000
[188h 0392   8]                 Base Address : 00000002A0000000
[190h 0400   8]               Address Length : 0000000004000000
[198h 0408   4]                    Reserved2 : 00000000
[19Ch 0412   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[1A0h 0416   8]                    Reserved3 : 0000000000000000

[1A8h 0424   1]                Subtable Type : 01 [Memory Affinity]
[1A9h 0425   1]                       Length : 28

[1AAh 0426   4]             Proximity Domain : 00000007
[1AEh 0430   2]                    Reserved1 : 0000
[1B0h 0432   8]                 Base Address : 00000002A4000000
[1B8h 0440   8]               Address Length : 0000000002000000
[1C0h 0448   4]                    Reserved2 : 00000000
[1C4h 0452   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[1C8h 0456   8]                    Reserved3 : 0000000000000000

