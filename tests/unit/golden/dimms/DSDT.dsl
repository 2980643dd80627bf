DefinitionBlock ("", "DSDT", 2, "BLKHD ", "BULKHEAD", 0x00000001)
{
    Name (\_S5, Package (0x04)  // _S5_: S5 System State
    {
        0x05, 
        Zero, 
        Zero, 
        Zero
    })
    Scope (\_SB)
    {
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02") /* PNP Motherboard Resources */)  // _HID: Hardware ID
            Name (_UID, Zero)  // _UID: Unique ID
            Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
            {
                Memory32Fixed (ReadWrite,
                    0xE8000000,         // Address Base
                    0x00100000,         // Address Length
                    )
                IO (Decode16,
                    0x0600,             // Range Minimum
                    0x0600,             // Range Maximum
                    0x01,               // Alignment
                    0x02,               // Length
                    )
                IO (Decode16,
                    0x0610,             // Range Minimum
                    0x0610,             // Range Maximum
                    0x01,               // Alignment
                    0x01,               // Length
                    )
            })
        }

        Device (PC00)
        {
            Name (_HID, EisaId ("PNP0A08") /* PCI Express Bus */)  // _HID: Hardware ID
            Name (_CID, EisaId ("PNP0A03") /* PCI Bus */)  // _CID: Compatible ID
            Name (_UID, Zero)  // _UID: Unique ID
            Name (_SEG, Zero)  // _SEG: PCI Segment
            Name (_BBN, Zero)  // _BBN: BIOS Bus Number
            Name (_PXM, Zero)  // _PXM: Device Proximity
            Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000,             // Granularity
                    0x0000,             // Range Minimum
                    0x0000,             // Range Maximum
                    0x0000,             // Translation Offset
                    0x0001,             // Length
                    ,, )
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000,         // Granularity
                    0xC0000000,         // Range Minimum
                    0xE7FFFFFF,         // Range Maximum
                    0x00000000,         // Translation Offset
                    0x28000000,         // Length
                    ,, , AddressRangeMemory, TypeStatic)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x0000000000000000, // Granularity
                    0x0000000200000000, // Range Minimum
                    0x00003FFBFFFFFFFF, // Range Maximum
                    0x0000000000000000, // Translation Offset
                    0x00003FFA00000000, // Length
                    ,, , AddressRangeMemory, TypeStatic)
            })
            Method (_OSC, 4, Serialized)  // _OSC: Operating System Capabilities
            {
                If ((Arg0 == ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766") /* PCI Host Bridge Device */))
                {
                    Return (Arg3)
                }

                CreateDWordField (Arg3, Zero, CDW1)
                CDW1 = 0x04
                Return (Arg3)
            }
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00") /* AT Real-Time Clock */)  // _HID: Hardware ID
            Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
            {
                IO (Decode16,
                    0x0070,             // Range Minimum
                    0x0070,             // Range Maximum
                    0x01,               // Alignment
                    0x02,               // Length
                    )
            })
        }

        Device (MHPD)
        {
            Name (_HID, EisaId ("PNP0A06") /* Generic Container Device */)  // _HID: Hardware ID
            Name (_UID, Zero)  // _UID: Unique ID
            Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
            {
                IO (Decode16,
                    0x0A00,             // Range Minimum
                    0x0A00,             // Range Maximum
                    0x01,               // Alignment
                    0x1C,               // Length
                    )
            })
            OperationRegion (MREG, SystemIO, 0x0A00, 0x1C)
            Field (MREG, DWordAcc, NoLock, WriteAsZeros)
            {
                MBAS,   64, 
                MLEN,   64, 
                Offset (0x18), 
                MNXT,   32
            }

            Field (MREG, DWordAcc, NoLock, WriteAsZeros)
            {
                MSEL,   32, 
                MOEV,   32, 
                MOST,   32
            }

            Field (MREG, ByteAcc, NoLock, WriteAsZeros)
            {
                Offset (0x14), 
                MENA,   1, 
                MINS,   1, 
                MREM,   1, 
                MEJT,   1
            }

            Mutex (MLCK, 0x00)
            Method (MSTA, 1, Serialized)
            {
                Acquire (MLCK, 0xFFFF)
                MSEL = Arg0
                Local0 = Zero
                If (MENA)
                {
                    Local0 = 0x0F
                }

                Release (MLCK)
                Return (Local0)
            }

            Method (MCRS, 1, Serialized)
            {
                Name (MRES, ResourceTemplate ()
                {
                    QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                        0x0000000000000000, // Granularity
                        0x0000000000000000, // Range Minimum
                        0xFFFFFFFFFFFFFFFE, // Range Maximum
                        0x0000000000000000, // Translation Offset
                        0xFFFFFFFFFFFFFFFF, // Length
                        ,, _Y00, AddressRangeMemory, TypeStatic)
                })
                CreateQWordField (MRES, \_SB.MHPD.MCRS._Y00._MIN, MMIN)  // _MIN: Minimum Base Address
                CreateQWordField (MRES, \_SB.MHPD.MCRS._Y00._MAX, MMAX)  // _MAX: Maximum Base Address
                CreateQWordField (MRES, \_SB.MHPD.MCRS._Y00._LEN, MSIZ)  // _LEN: Length
                Acquire (MLCK, 0xFFFF)
                MSEL = Arg0
                MMIN = MBAS /* \_SB_.MHPD.MBAS */
                MSIZ = MLEN /* \_SB_.MHPD.MLEN */
                Release (MLCK)
                Local0 = (MMIN + MSIZ) /* \_SB_.MHPD.MCRS.MSIZ */
                MMAX = (Local0 - One)
                Return (MRES) /* \_SB_.MHPD.MCRS.MRES */
            }

            Method (MRPT, 3, Serialized)
            {
                Acquire (MLCK, 0xFFFF)
                MSEL = Arg0
                MOEV = Arg1
                MOST = Arg2
                Release (MLCK)
            }

            Method (MEJ0, 1, Serialized)
            {
                Acquire (MLCK, 0xFFFF)
                MSEL = Arg0
                MEJT = One
                Release (MLCK)
            }

            Method (MNTF, 2, NotSerialized)
            {
                If ((Arg0 == Zero))
                {
                    Notify (MEM0, Arg1)
                }

                If ((Arg0 == One))
                {
                    Notify (MEM1, Arg1)
                }

                If ((Arg0 == 0x02))
                {
                    Notify (MEM2, Arg1)
                }

                If ((Arg0 == 0x03))
                {
                    Notify (MEM3, Arg1)
                }

                If ((Arg0 == 0x04))
                {
                    Notify (MEM4, Arg1)
                }

                If ((Arg0 == 0x05))
                {
                    Notify (MEM5, Arg1)
                }

                If ((Arg0 == 0x06))
                {
                    Notify (MEM6, Arg1)
                }

                If ((Arg0 == 0x07))
                {
                    Notify (MEM7, Arg1)
                }
            }

            Method (MSCN, 0, Serialized)
            {
                Acquire (MLCK, 0xFFFF)
                Local0 = MNXT /* \_SB_.MHPD.MNXT */
                While ((Local0 < 0x08))
                {
                    If (MINS)
                    {
                        MNTF (Local0, One)
                        MINS = One
                    }

                    If (MREM)
                    {
                        MNTF (Local0, 0x03)
                        MREM = One
                    }

                    Local0 = MNXT /* \_SB_.MHPD.MNXT */
                }

                Release (MLCK)
            }

            Device (MEM0)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, Zero)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (Zero))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (Zero))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (Zero, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (Zero)
                }
            }

            Device (MEM1)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, One)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (One))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (One))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (One, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (One)
                }
            }

            Device (MEM2)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, 0x02)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (0x02))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (0x02))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (0x02, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (0x02)
                }
            }

            Device (MEM3)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, 0x03)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (0x03))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (0x03))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (0x03, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (0x03)
                }
            }

            Device (MEM4)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, 0x04)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (0x04))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (0x04))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (0x04, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (0x04)
                }
            }

            Device (MEM5)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, 0x05)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (0x05))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (0x05))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (0x05, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (0x05)
                }
            }

            Device (MEM6)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, 0x06)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (0x06))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (0x06))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (0x06, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (0x06)
                }
            }

            Device (MEM7)
            {
                Name (_HID, EisaId ("PNP0C80") /* Memory Device */)  // _HID: Hardware ID
                Name (_UID, 0x07)  // _UID: Unique ID
                Name (_PXM, Zero)  // _PXM: Device Proximity
                Method (_STA, 0, NotSerialized)  // _STA: Status
                {
                    Return (MSTA (0x07))
                }

                Method (_CRS, 0, NotSerialized)  // _CRS: Current Resource Settings
                {
                    Return (MCRS (0x07))
                }

                Method (_OST, 3, NotSerialized)  // _OST: OSPM Status Indication
                {
                    MRPT (0x07, Arg0, Arg1)
                }

                Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
                {
                    MEJ0 (0x07)
                }
            }
        }

        Device (PWRB)
        {
            Name (_HID, EisaId ("PNP0C0C") /* Power Button Device */)  // _HID: Hardware ID
        }

        Device (GED)
        {
            Name (_HID, "ACPI0013" /* Generic Event Device */)  // _HID: Hardware ID
            Name (_UID, Zero)  // _UID: Unique ID
            Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
            {
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, )
                {
                    0x00000005,
                }
            })
            OperationRegion (EVRG, SystemIO, 0x0610, One)
            Field (EVRG, ByteAcc, NoLock, WriteAsZeros)
            {
                EVST,   8
            }

            Method (_EVT, 1, Serialized)  // _EVT: Event
            {
                Local0 = EVST /* \_SB_.GED_.EVST */
                If ((Local0 & One))
                {
                    Notify (\_SB.PWRB, 0x80) // Status Change
                }

                If ((Local0 & 0x02))
                {
                    \_SB.MHPD.MSCN ()
                }
            }
        }
    }
}

