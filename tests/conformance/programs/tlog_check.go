// Checks a log with the code of Go's checksum database (golang.org/x/mod/sumdb/note and tlog), which knows
// nothing of this project. Built offline by scripts/setup-conformance.
//
//	tlog_check proof VKEY FILE ENTRY       a .tlog-proof file for the entry (hex)
//	tlog_check tiles VKEY FOLDER           every tile and every entry below FOLDER/checkpoint
//	tlog_check consistency VKEY OLD FOLDER the checkpoint OLD is the beginning of FOLDER's log
//
// Prints one line and ends with 0, or says what does not hold and ends with 1.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	said, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	fmt.Println(said)
}

func run(args []string) (string, error) {
	if len(args) == 4 && args[0] == "proof" {
		return proof(args[1], args[2], args[3])
	}
	if len(args) == 3 && args[0] == "tiles" {
		return tiles(args[1], args[2])
	}
	if len(args) == 4 && args[0] == "consistency" {
		return consistency(args[1], args[2], args[3])
	}
	return "", errors.New("proof VKEY FILE ENTRY, tiles VKEY FOLDER or consistency VKEY OLD FOLDER")
}

// checkpoint opens a signed checkpoint and reads its three lines.
func checkpoint(vkey string, data []byte) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func proof(vkey, file, entry string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	record, err := hex.DecodeString(entry)
	if err != nil {
		return "", err
	}
	head, signed, found := bytes.Cut(data, []byte("\n\n"))
	if !found {
		return "", errors.New("no checkpoint in the file")
	}
	lines := strings.Split(string(head), "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return "", errors.New("not a tlog-proof")
	}
	number, found := strings.CutPrefix(lines[1], "index ")
	if !found {
		return "", errors.New("no index in the file")
	}
	index, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return "", err
	}
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return "", err
		}
		path = append(path, hash)
	}
	tree, err := checkpoint(vkey, signed)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(record)); err != nil {
		return "", err
	}
	return fmt.Sprintf("entry %d of %d holds", index, tree.N), nil
}

// A folder with tiles, as a log serves them.
type folder string

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		// The checksum database writes the height into the path; c2sp.org/tlog-tiles leaves it out.
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func open(vkey, where string) (tlog.Tree, tlog.HashReader, error) {
	data, err := os.ReadFile(filepath.Join(where, "checkpoint"))
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	tree, err := checkpoint(vkey, data)
	return tree, tlog.TileHashReader(tree, folder(where)), err
}

func tiles(vkey, where string) (string, error) {
	tree, reader, err := open(vkey, where)
	if err != nil {
		return "", err
	}
	for first := int64(0); first < tree.N; first += 256 {
		width := int(min(256, tree.N-first))
		tile := tlog.Tile{H: 8, L: -1, N: first / 256, W: width}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(where, path))
		if err != nil {
			return "", err
		}
		var indexes []int64
		for at := 0; at < width; at++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+int64(at)))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return "", err
		}
		for at := 0; at < width; at++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return "", fmt.Errorf("%s ends early", path)
			}
			length := 2 + int(binary.BigEndian.Uint16(data))
			if tlog.RecordHash(data[2:length]) != hashes[at] {
				return "", fmt.Errorf("entry %d is not what the log signed", first+int64(at))
			}
			data = data[length:]
		}
		if len(data) != 0 {
			return "", fmt.Errorf("%s goes on after its last entry", path)
		}
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return "", err
	}
	if root != tree.Hash {
		return "", errors.New("the tiles have another root than the checkpoint")
	}
	return fmt.Sprintf("%d entries hold, root %s", tree.N, base64.StdEncoding.EncodeToString(root[:])), nil
}

func consistency(vkey, old, where string) (string, error) {
	data, err := os.ReadFile(old)
	if err != nil {
		return "", err
	}
	before, err := checkpoint(vkey, data)
	if err != nil {
		return "", err
	}
	tree, reader, err := open(vkey, where)
	if err != nil {
		return "", err
	}
	path, err := tlog.ProveTree(tree.N, before.N, reader)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckTree(path, tree.N, tree.Hash, before.N, before.Hash); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d entries are the beginning of %d", before.N, tree.N), nil
}
