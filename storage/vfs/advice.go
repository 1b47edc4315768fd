package vfs

// StartWrite asks the system to begin bringing n bytes of the file from off on to the disk, without waiting for it. Nothing about them is
// durable before Sync; what is gained is that the Sync at the end of a long file finds little left to do, and does not hold up the syncs of
// other files meanwhile. Where a file cannot, nothing happens; it never fails, for Sync will tell.
func StartWrite(f File, off, n int64) {
	if s, ok := f.(interface{ StartWrite(off, n int64) }); ok {
		s.StartWrite(off, n)
	}
}

// RandomReads tells the system that the file will be read here and there, so that it reads what it is asked for and no more. What a system reads
// ahead by itself is up to megabytes, which a look-up of one record throws away.
func RandomReads(f File) {
	if s, ok := f.(interface{ RandomReads() }); ok {
		s.RandomReads()
	}
}

// ReadAhead asks the system to begin reading n bytes of the file from off on, without waiting for them.
func ReadAhead(f File, off, n int64) {
	if s, ok := f.(interface{ ReadAhead(off, n int64) }); ok {
		s.ReadAhead(off, n)
	}
}
