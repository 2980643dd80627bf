
[000h 0000   4]                    Signature : "SRAT"    [System Resource Affinity Table]
[004h 0004   4]                 Table Length : 00000138
[008h 0008   1]                     Revision : 03
[009h 0009   1]                     Checksum : 9A
[00Ah 0010   6]                       Oem ID : "BLKHD "
[010h 0016   8]                 Oem Table ID : "BULKHEAD"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "BLKH"
[020h 0032   4]        Asl Compiler Revision : 00000001

[024h 0036   4]               Table Revision : 00000001
[028h 0040   8]                     Reserved : 0000000000000000

[030h 0048   1]                Subtable Type : 00 [Processor Local APIC/SAPIC Affinity]
[031h 0049   1]                       Length : 10

[032h 0050   1]      Proximity Domain Low(8) : 00
[033h 0051   1]                      Apic ID : 00
[034h 0052   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[038h 0056   1]              Local Sapic EID : 00
[039h 0057   3]    Proximity Domain High(24) : 000000
[03Ch 0060   4]                 Clock Domain : 00000000

[040h 0064   1]                Subtable Type : 01 [Memory Affinity]
[041h 0065   1]                       Length : 28

[042h 0066   4]             Proximity Domain : 00000000
[046h 0070   2]                    Reserved1 : 0000
[048h 0072   8]                 Base Address : 0000000000000000
[050h 0080   8]               Address Length : 0000000020000000
[058h 0088   4]                    Reserved2 : 00000000
[05Ch 0092   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[060h 0096   8]                    Reserved3 : 0000000000000000

[068h 0104   1]                Subtable Type : 01 [Memory Affinity]
[069h 0105   1]                       Length : 28

[06Ah 0106   4]             Proximity Domain : 00000002
[06Eh 0110   2]                    Reserved1 : 0000
[070h 0112   8]                 Base Address : 0000000100000000
[078h 0120   8]               Address Length : 0000000010000000
[080h 0128   4]                    Reserved2 : 00000000
[084h 0132   4]        Flags (decoded below) : 00000003
                                     Enabled : 1
                               Hot Pluggable : 1
                                Non-Volatile : 0
[088h 0136   8]                    Reserved3 : 0000000000000000

[090h 0144   1]                Subtable Type : 01 [Memory Affinity]
[091h 0145   1]                       Length : 28

[092h 0146   4]             Proximity Domain : 00000009
[096h 0150   2]                    Reserved1 : 0000
[098h 0152   8]                 Base Address : 0000000110000000
[0A0h 0160   8]               Address Length : 0000000000100000
[0A8h 0168   4]                    Reserved2 : 00000000
[0ACh 0172   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
                               Hot Pluggable : 0
                                Non-Volatile : 0
[0B0h 0176   8]                    Reserved3 : 0000000000000000

[0B8h 0184   1]                Subtable Type : 05 [Generic Initiator Affinity]
[0B9h 0185   1]                       Length : 20

[0BAh 0186   1]                    Reserved1 : 00
[0BBh 0187   1]           Device Handle Type : 01
[0BCh 0188   4]             Proximity Domain : 00000002
[0C0h 0192  16]                Device Handle : 01 00 00 20 00 00 00 00 00 00 00 00 00 00 00 00
[0D0h 0208   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[0D4h 0212   4]                    Reserved2 : 00000000

[0D8h 0216   1]                Subtable Type : 05 [Generic Initiator Affinity]
[0D9h 0217   1]                       Length : 20

[0DAh 0218   1]                    Reserved1 : 00
[0DBh 0219   1]           Device Handle Type : 01
[0DCh 0220   4]             Proximity Domain : 00000002
[0E0h 0224  16]                Device Handle : 01 00 00 F8 00 00 00 00 00 00 00 00 00 00 00 00
[0F0h 0240   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[0F4h 0244   4]                    Reserved2 : 00000000

[0F8h 0248   1]                Subtable Type : 05 [Generic Initiator Affinity]
[0F9h 0249   1]                       Length : 20

[0FAh 0250   1]                    Reserved1 : 00
[0FBh 0251   1]           Device Handle Type : 01
[0FCh 0252   4]             Proximity Domain : 00000009
[100h 0256  16]                Device Handle : 02 00 00 28 00 00 00 00 00 00 00 00 00 00 00 00
[110h 0272   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[114h 0276   4]                    Reserved2 : 00000000

[118h 0280   1]                Subtable Type : 05 [Generic Initiator Affinity]
[119h 0281   1]                       Length : 20

[11Ah 0282   1]                    Reserved1 : 00
[11Bh 0283   1]           Device Handle Type : 01
[11Ch 0284   4]             Proximity Domain : 00000009
[120h 0288  16]                Device Handle : 03 00 00 20 00 00 00 00 00 00 00 00 00 00 00 00
[130h 0304   4]        Flags (decoded below) : 00000001
                                     Enabled : 1
[134h 0308   4]                    Reserved2 : 00000000

