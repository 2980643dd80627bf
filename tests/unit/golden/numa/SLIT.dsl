
[000h 0000   4]                    Signature : "SLIT"    [System Locality Information Table]
[004h 0004   4]                 Table Length : 0000006C
[008h 0008   1]                     Revision : 01
[009h 0009   1]                     Checksum : BD
[00Ah 0010   6]                       Oem ID : "BLKHD "
[010h 0016   8]                 Oem Table ID : "BULKHEAD"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "BLKH"
[020h 0032   4]        Asl Compiler Revision : 00000001

[024h 0036   8]                   Localities : 0000000000000008
[02Ch 0044   8]                 Locality   0 : 0A 14 14 14 14 14 14 14
[034h 0052   8]                 Locality   1 : 14 0A 14 14 14 14 14 14
[03Ch 0060   8]                 Locality   2 : 14 14 0A 14 14 14 14 14
[044h 0068   8]                 Locality   3 : 14 14 14 0A 14 14 14 11
[04Ch 0076   8]                 Locality   4 : 14 14 14 14 0A 14 14 14
[054h 0084   8]                 Locality   5 : 14 14 14 14 14 0A 14 14
[05Ch 0092   8]                 Locality   6 : 14 14 14 14 14 14 0A 14
[064h 0100   8]                 Locality   7 : 14 14 14 11 14 14 14 0A

