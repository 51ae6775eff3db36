package extract

// thriftParser reads Thrift's compact protocol as far as page headers and
// schemas need it.
// After bad or short was set all results are void.
type thriftParser struct {
	rest    []byte
	bad     bool  // no compact protocol
	short   bool  // it goes on beyond the bytes at hand
	unknown []int // where fields hold logical types that are not known: see logicalType
}

// The compact protocol's types of fields.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// maxThriftDepth bounds the nesting of what is skipped.
const maxThriftDepth = 16

func (p *thriftParser) pageHeader() (h pageHeader) {
	p.fields(func(id int, typ byte) {
		switch {
		case id == 1 && typ == thriftI32:
			h.kind = p.i32()
		case id == 2 && typ == thriftI32:
			h.uncompressed = p.i32()
		case id == 3 && typ == thriftI32:
			h.compressed = p.i32()
		case id == 4 && typ == thriftI32:
			h.crc, h.hasCRC = p.i32(), true
		case (id == 5 || id == 7 || id == 8) && typ == thriftStruct: // data, dictionary, data v2
			h.values = p.firstI32()
		default:
			p.skip(typ, 0)
		}
	})
	return h
}

// schemaDepth returns how deep the schema of a footer is nested. Its nodes
// stand in a list, each before its children.
func (p *thriftParser) schemaDepth() (deepest int) {
	p.fields(func(id int, typ byte) {
		if id != 2 || typ != thriftList {
			p.skip(typ, 0)
			return
		}
		var open []int32 // children that are still to come, of the nodes around
		for n := p.listSize(); n > 0 && !p.bad && !p.short; n-- {
			if children := p.children(); children > 0 {
				open = append(open, children)
				deepest = max(deepest, len(open))
				continue
			}
			for len(open) > 0 {
				last := len(open) - 1
				if open[last]--; open[last] > 0 {
					break
				}
				open = open[:last]
			}
		}
	})
	return deepest
}

func (p *thriftParser) listSize() uint64 {
	n := uint64(p.byte() >> 4)
	if n == 15 {
		n = p.varint()
	}
	return n
}

// children returns how many children a node of a schema has.
func (p *thriftParser) children() (n int32) {
	p.fields(func(id int, typ byte) {
		switch {
		case id == 5 && typ == thriftI32:
			n = p.i32()
		case id == logicalType && typ == thriftStruct:
			p.logicalType()
		default:
			p.skip(typ, 0)
		}
	})
	return n
}

// The field of a node of a schema that holds its logical type: its last. In that
// is one field, of these numbers.
const (
	logicalType     = 10
	lastLogicalType = 18
	noLogicalType   = 9 // was given up
)

// logicalType looks at the logical type of a node. Of one that is not known it
// notes where the head of its field ends, in bytes from the end.
func (p *thriftParser) logicalType() {
	head, known := len(p.rest)+1, false
	p.fields(func(id int, typ byte) {
		known = known || id > 0 && id <= lastLogicalType && id != noLogicalType
		p.skip(typ, 0)
	})
	if !known {
		p.unknown = append(p.unknown, head)
	}
}

// nextField, added to the end of the head of a field that is the last one, gives
// it a number that no field has: it is then passed over.
const nextField = 0x10

// firstI32 returns field 1 of a struct.
func (p *thriftParser) firstI32() (n int32) {
	p.fields(func(id int, typ byte) {
		if id == 1 && typ == thriftI32 {
			n = p.i32()
			return
		}
		p.skip(typ, 0)
	})
	return n
}

// fields calls f for every field of a struct; f has to consume its value.
func (p *thriftParser) fields(f func(id int, typ byte)) {
	for id := 0; ; {
		head := p.byte()
		typ := head & 0x0f
		if p.bad || p.short || head == 0 {
			return
		}
		if delta := int(head >> 4); delta > 0 {
			id += delta
		} else {
			id = int(p.i32())
		}
		f(id, typ)
	}
}

func (p *thriftParser) skip(typ byte, depth int) {
	if depth > maxThriftDepth {
		p.bad = true
		return
	}
	switch typ {
	case thriftTrue, thriftFalse:
	case thriftByte:
		p.take(1)
	case thriftI16, thriftI32, thriftI64:
		p.varint()
	case thriftDouble:
		p.take(8)
	case thriftBinary:
		p.take(p.varint())
	case thriftList, thriftSet:
		p.skipList(depth)
	case thriftStruct:
		p.fields(func(_ int, typ byte) { p.skip(typ, depth+1) })
	default: // maps do not occur in page headers
		p.bad = true
	}
}

func (p *thriftParser) skipList(depth int) {
	head := p.byte()
	n, typ := uint64(head>>4), head&0x0f
	if n == 15 {
		n = p.varint()
	}
	for ; n > 0 && !p.bad && !p.short; n-- {
		if typ == thriftTrue || typ == thriftFalse {
			p.take(1)
			continue
		}
		p.skip(typ, depth+1)
	}
}

func (p *thriftParser) byte() byte {
	if len(p.rest) == 0 {
		p.short = true
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *thriftParser) take(n uint64) {
	if n > uint64(len(p.rest)) {
		p.short, n = true, uint64(len(p.rest))
	}
	p.rest = p.rest[n:]
}

func (p *thriftParser) varint() (n uint64) {
	for shift := 0; shift < 64; shift += 7 {
		b := p.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	p.bad = true
	return 0
}

// i32 undoes the zigzag encoding.
func (p *thriftParser) i32() int32 {
	n := p.varint()
	return int32(n>>1) ^ -int32(n&1)
}
