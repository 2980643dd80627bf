
[000h 0000   4]                    Signature : "HMAT"    [Heterogeneous Memory Attributes Table]
[004h 0004   4]                 Table Length : 00000178
[008h 0008   1]                     Revision : 02
[009h 0009   1]                     Checksum : 5E
[00Ah 0010   6]                       Oem ID : "BLKHD "
[010h 0016   8]                 Oem Table ID : "BULKHEAD"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "BLKH"
[020h 0032   4]        Asl Compiler Revision : 00000001

[024h 0036   4]                     Reserved : 00000000

[028h 0040   2]               Structure Type : 0000 [Memory Proximity Domain Attributes]
[02Ah 0042   2]                     Reserved : 0000
[02Ch 0044   4]                       Length : 00000028
[030h 0048   2]        Flags (decoded below) : 0001
            Processor Proximity Domain Valid : 1
[032h 0050   2]                    Reserved1 : 0000
[034h 0052   4] Attached Initiator Proximity Domain : 00000003
[038h 0056   4]      Memory Proximity Domain : 00000003
[03Ch 0060   4]                    Reserved2 : 00000000
[040h 0064   8]                    Reserved3 : 0000000000000000
[048h 0072   8]                    Reserved4 : 0000000000000000

[050h 0080   2]               Structure Type : 0000 [Memory Proximity Domain Attributes]
[052h 0082   2]                     Reserved : 0000
[054h 0084   4]                       Length : 00000028
[058h 0088   2]        Flags (decoded below) : 0001
            Processor Proximity Domain Valid : 1
[05Ah 0090   2]                    Reserved1 : 0000
[05Ch 0092   4] Attached Initiator Proximity Domain : 00000007
[060h 0096   4]      Memory Proximity Domain : 00000007
[064h 0100   4]                    Reserved2 : 00000000
[068h 0104   8]                    Reserved3 : 0000000000000000
[070h 0112   8]                    Reserved4 : 0000000000000000

[078h 0120   2]               Structure Type : 0001 [System Locality Latency and Bandwidth Information]
[07Ah 0122   2]                     Reserved : 0000
[07Ch 0124   4]                       Length : 00000038
[080h 0128   1]        Flags (decoded below) : 00
                            Memory Hierarchy : 0
[081h 0129   1]                    Data Type : 01
[082h 0130   2]                    Reserved1 : 0000
[084h 0132   4] Initiator Proximity Domains # : 00000002
[088h 0136   4]   Target Proximity Domains # : 00000002
[08Ch 0140   4]                    Reserved2 : 00000000
[090h 0144   8]              Entry Base Unit : 00000000000003E8
[098h 0152   4] Initiator Proximity Domain List : 00000003
[09Ch 0156   4] Initiator Proximity Domain List : 00000007
[0A0h 0160   4] Target Proximity Domain List : 00000003
[0A4h 0164   4] Target Proximity Domain List : 00000007
[0A8h 0168   2]                        Entry : 0050
[0AAh 0170   2]                        Entry : 00FA
[0ACh 0172   2]                        Entry : 008C
[0AEh 0174   2]                        Entry : 0000

[0B0h 0176   2]               Structure Type : 0001 [System Locality Latency and Bandwidth Information]
[0B2h 0178   2]                     Reserved : 0000
[0B4h 0180   4]                       Length : 00000038
[0B8h 0184   1]        Flags (decoded below) : 00
                            Memory Hierarchy : 0
[0B9h 0185   1]                    Data Type : 02
[0BAh 0186   2]                    Reserved1 : 0000
[0BCh 0188   4] Initiator Proximity Domains # : 00000002
[0C0h 0192   4]   Target Proximity Domains # : 00000002
[0C4h 0196   4]                    Reserved2 : 00000000
[0C8h 0200   8]              Entry Base Unit : 00000000000003E8
[0D0h 0208   4] Initiator Proximity Domain List : 00000003
[0D4h 0212   4] Initiator Proximity Domain List : 00000007
[0D8h 0216   4] Target Proximity Domain List : 00000003
[0DCh 0220   4] Target Proximity Domain List : 00000007
[0E0h 0224   2]                        Entry : 005A
[0E2h 0226   2]                        Entry : 012C
[0E4h 0228   2]                        Entry : 0000
[0E6h 0230   2]                        Entry : 0000

[0E8h 0232   2]               Structure Type : 0001 [System Locality Latency and Bandwidth Information]
[0EAh 0234   2]                     Reserved : 0000
[0ECh 0236   4]                       Length : 00000038
[0F0h 0240   1]        Flags (decoded below) : 00
                            Memory Hierarchy : 0
[0F1h 0241   1]                    Data Type : 04
[0F2h 0242   2]                    Reserved1 : 0000
[0F4h 0244   4] Initiator Proximity Domains # : 00000002
[0F8h 0248   4]   Target Proximity Domains # : 00000002
[0FCh 0252   4]                    Reserved2 : 00000000
[100h 0256   8]              Entry Base Unit : 000000000000000A
[108h 0264   4] Initiator Proximity Domain List : 00000003
[10Ch 0268   4] Initiator Proximity Domain List : 00000007
[110h 0272   4] Target Proximity Domain List : 00000003
[114h 0276   4] Target Proximity Domain List : 00000007
[118h 0280   2]                        Entry : 07D0
[11Ah 0282   2]                        Entry : 0320
[11Ch 0284   2]                        Entry : 2710
[11Eh 0286   2]                        Entry : 0000

[120h 0288   2]               Structure Type : 0001 [System Locality Latency and Bandwidth Information]
[122h 0290   2]                     Reserved : 0000
[124h 0292   4]                       Length : 00000038
[128h 0296   1]        Flags (decoded below) : 00
                            Memory Hierarchy : 0
[129h 0297   1]                    Data Type : 05
[12Ah 0298   2]                    Reserved1 : 0000
[12Ch 0300   4] Initiator Proximity Domains # : 00000002
[130h 0304   4]   Target Proximity Domains # : 00000002
[134h 0308   4]                    Reserved2 : 00000000
[138h 0312   8]              Entry Base Unit : 000000000000000A
[140h 0320   4] Initiator Proximity Domain List : 00000003
[144h 0324   4] Initiator Proximity Domain List : 00000007
[148h 0328   4] Target Proximity Domain List : 00000003
[14Ch 0332   4] Target Proximity Domain List : 00000007
[150h 0336   2]                        Entry : 0708
[152h 0338   2]                        Entry : 0001
[154h 0340   2]                        Entry : 2328
[156h 0342   2]                        Entry : 0000

[158h 0344   2]               Structure Type : 0002 [Memory Side Cache Information]
[15Ah 0346   2]                     Reserved : 0000
[15Ch 0348   4]                       Length : 00000020
[160h 0352   4]      Memory Proximity Domain : 00000007
[164h 0356   4]                    Reserved1 : 00000000
[168h 0360   8]       Memory Side Cache Size : 0000000100000000
[170h 0368   4] Cache Attributes (decoded below) : 00401111
                          Total Cache Levels : 1
                                 Cache Level : 1
                         Cache Associativity : 1
                                Write Policy : 1
                             Cache Line Size : 0040
[174h 0372   2]                    Reserved2 : 0000
[176h 0374   2]              SMBIOS Handle # : 0000

