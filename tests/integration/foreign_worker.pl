#!/usr/bin/perl
# A worker in another language, written from docs/worker-protocol.md alone, with the core of Perl alone.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8 decode_utf8);
use JSON::PP;
use IO::Handle;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# --- MessagePack: what the protocol needs ------------------------------------------------------

sub str { my $b = encode_utf8($_[0]); my $n = length $b;
    return ($n < 32 ? pack('C', 0xa0 | $n) : $n < 256 ? pack('CC', 0xd9, $n)
        : $n < 65536 ? pack('Cn', 0xda, $n) : pack('CN', 0xdb, $n)) . $b }
sub bin { my $b = $_[0]; my $n = length $b;
    return ($n < 256 ? pack('CC', 0xc4, $n) : $n < 65536 ? pack('Cn', 0xc5, $n) : pack('CN', 0xc6, $n)) . $b }
sub int_ { my $n = $_[0]; return $n >= 0 && $n < 128 ? pack('C', $n) : pack('Cq>', 0xd3, $n) }
sub float { return pack('Cd>', 0xcb, $_[0]) }
sub bool { return pack('C', $_[0] ? 0xc3 : 0xc2) }
sub nil { return pack('C', 0xc0) }
sub array { my $n = @_; return ($n < 16 ? pack('C', 0x90 | $n) : pack('Cn', 0xdc, $n)) . join('', @_) }

sub unpack_one { # (bytes by reference, position by reference) -> value
    my ($in, $at) = @_;
    my $take = sub { my $part = substr($$in, $$at, $_[0]); $$at += $_[0]; return $part };
    my $c = unpack 'C', $take->(1);
    return $c if $c < 0x80;
    return $c - 256 if $c >= 0xe0;
    return decode_utf8($take->($c & 0x1f)) if ($c & 0xe0) == 0xa0;
    return [map { unpack_one($in, $at) } 1 .. ($c & 0x0f)] if ($c & 0xf0) == 0x90;
    return undef if $c == 0xc0;
    return $c == 0xc3 ? 1 : 0 if $c == 0xc2 || $c == 0xc3;
    my %bin = (0xc4 => [1, 'C'], 0xc5 => [2, 'n'], 0xc6 => [4, 'N']);
    if (my $how = $bin{$c}) { return $take->(unpack $how->[1], $take->($how->[0])) }
    my %str = (0xd9 => [1, 'C'], 0xda => [2, 'n'], 0xdb => [4, 'N']);
    if (my $how = $str{$c}) { return decode_utf8($take->(unpack $how->[1], $take->($how->[0]))) }
    my %number = (0xcc => [1, 'C'], 0xcd => [2, 'n'], 0xce => [4, 'N'], 0xcf => [8, 'Q>'], 0xca => [4, 'f>'],
        0xcb => [8, 'd>'], 0xd0 => [1, 'c'], 0xd1 => [2, 's>'], 0xd2 => [4, 'l>'], 0xd3 => [8, 'q>']);
    if (my $how = $number{$c}) { return unpack $how->[1], $take->($how->[0]) }
    my %array = (0xdc => [2, 'n'], 0xdd => [4, 'N']);
    if (my $how = $array{$c}) { return [map { unpack_one($in, $at) } 1 .. unpack $how->[1], $take->($how->[0])] }
    die sprintf "no such MessagePack type: %02x", $c;
}

# --- the socket ---------------------------------------------------------------------------------

my $fd = delete $ENV{A2A_WORKER_FD};
my $parent = delete $ENV{A2A_WORKER_PARENT};
open(my $socket, '+<&=', $fd) or die "the socket: $!";
binmode $socket;
syscall(157, 1, 9, 0, 0, 0) if -e '/proc/self' && `uname -m` =~ /x86_64/; # prctl(PR_SET_PDEATHSIG, SIGKILL)
exit 1 if getppid() != $parent;

sub write_frame { # tag, packed fields
    my $body = array(str(shift), @_);
    my $out = pack('N', length $body) . $body;
    while (length $out) {
        my $n = syswrite $socket, $out;
        exit 0 unless defined $n;
        substr($out, 0, $n) = '';
    }
}

sub read_bytes {
    my ($want, $in) = (shift, '');
    while (length $in < $want) {
        my $n = sysread $socket, $in, $want - length $in, length $in;
        exit 0 unless $n;
    }
    return $in;
}

sub read_frame {
    my $body = read_bytes(unpack 'N', read_bytes(4));
    my $at = 0;
    return unpack_one(\$body, \$at);
}

# --- the agent: each skill is a list of things to do when an answer comes -------------------------

my %schema = (
    shout => { text => { type => 'string' } }, ask => {}, step => {}, state => { key => { type => 'string' } },
    pour => { count => { type => 'integer' } }, count => {}, fail => {}, refuse => {}, wait => {}, both => {},
    nonsense => {},
);
my @skills = map { {
    id => $_, name => ucfirst $_, description => "The skill $_, in Perl.",
    input_schema => { type => 'object', properties => $schema{$_}, required => [sort keys %{ $schema{$_} }] },
    output_schema => {}, ($_ eq 'count' ? (files => [{ name => 'doc' }]) : ()),
} } sort keys %schema;

my (%run, $stopping);
my $null = bin('null');

sub result { my ($run, $status, $value, @trouble) = @_;
    delete $run{$run};
    write_frame('result', int_($run), str($status), bin($json->encode($value)),
        @trouble ? array(map { str($_) } @trouble) : nil()) }

sub effect { my ($run, $kind, $name, $args, $input, $then) = @_;
    my $n = ++$run{$run}{n};
    $run{$run}{waiting}{$n} = $then;
    write_frame('effect', int_($run), int_($n), str($kind), str($name), bin($args), bin($input));
    return $n }

sub text { my ($run, $delta, $then) = @_; # waits while more than the window is out
    my $state = $run{$run};
    push @{ $state->{queue} }, [$delta, $then];
    pump($run) }

sub pump { my ($run) = @_;
    my $state = $run{$run} or return;
    while (my $next = $state->{queue}[0]) {
        my $size = length encode_utf8($next->[0]);
        return if $state->{out} && $state->{out} + $size > 256 * 1024;
        shift @{ $state->{queue} };
        $state->{out} += $size;
        write_frame('text', int_($run), str($next->[0]));
        $next->[1]->() if $next->[1];
        $state = $run{$run} or return;
    } }

my %do = (
    shout => sub { my ($run, $args) = @_; result($run, 'ok', uc $args->{text}) },
    ask => sub { my ($run) = @_;
        my $question = $json->encode({ question => 'How many?', schema => { type => 'integer' } });
        write_frame('progress', int_($run), str('asking'), float(50), str(''));
        effect($run, 'ask', '', $question, $question, sub { result($run, 'ok', 2 * $_[0]) }) },
    step => sub { my ($run) = @_;
        my $n; $n = effect($run, 'step', 'draw', 'one', 'null', sub {
            my ($value, $go) = @_;
            return result($run, 'ok', $value) unless $go;
            $run{$run}{waiting}{$n} = sub { result($run, 'ok', $_[0]) };
            write_frame('done', int_($run), int_($n), bin('{"drawn":7}'), nil());
        }) },
    state => sub { my ($run, $args) = @_;
        effect($run, 'get', $args->{key}, '', 'null', sub {
            my $seen = $_[0] ? $_[0]{value} : 0;
            my $input = $json->encode({ value => $seen + 1 });
            effect($run, 'set', $args->{key}, $input, $input, sub { result($run, 'ok', $seen) }) }) },
    pour => sub { my ($run, $args) = @_;
        my $left = $args->{count};
        my $more; $more = sub { $left-- ? text($run, 'é' x 8192, $more) : result($run, 'ok', undef) };
        $more->() },
    count => sub { my ($run, $args, $files) = @_;
        my ($param, $name, $type, $size, $inline, $sha256) = @{ $files->[0] };
        return result($run, 'ok', length $inline) unless $sha256;
        my $seen = 0;
        my $put = sub { my ($then) = @_; # the file's size as an artifact that is an object
            my $n = ++$run{$run}{n};
            $run{$run}{data}{$n} = $then;
            write_frame('put', int_($run), int_($n), bin('x' x 70000), bool(1)) };
        my $read; $read = sub {
            my $n = ++$run{$run}{n};
            $run{$run}{data}{$n} = sub { my ($data) = @_;
                $seen += length $data;
                return $read->() if length $data && $seen < $size;
                $put->(sub { my $object = $json->decode($_[0]);
                    write_frame('artifact', int_($run), bin($json->encode({ artifactId => 'made', parts =>
                        [{ object => $object, mediaType => 'text/plain' }] })), bool(0), bool(1));
                    result($run, 'ok', $seen) }) };
            write_frame('read', int_($run), int_($n), str($sha256), int_($seen), int_(1048576)) };
        $read->() },
    fail => sub { result($_[0], 'failed', undef, 'perl_failed', 'It went wrong.', 'Try Python.') },
    refuse => sub { result($_[0], 'refused', undef, 'refused', 'Not today.') },
    wait => sub { write_frame('log', int_($_[0]), str('info'), str('stdout'), str('waiting')) },
    both => sub { my ($run) = @_;
        write_frame('usage', int_($run), str('tokens'), str('12.5'), str('t'));
        write_frame('now', int_($run), float(1700000000.5));
        my $input = $json->encode({ agent => 'perl', skill => 'shout', arguments => { text => 'child' }, files => [] });
        effect($run, 'call', 'perl/shout', $input, $input, sub {
            my $heard = $_[0];
            my $short = $json->encode({ seconds => 0.01 });
            effect($run, 'sleep', '', $short, $short, sub { result($run, 'ok', $heard) }) }) },
    nonsense => sub { write_frame('banana', int_($_[0])) },
);

# --- the loop -----------------------------------------------------------------------------------

my $hello = read_frame();
if ($hello->[0] ne 'hello' || $hello->[1] != 1) {
    write_frame('broken', str('This worker speaks version 1.'), str(''));
    exit 1;
}
if ($hello->[5] eq 'broken.py') {
    write_frame('broken', str('It does not compile.'), str("line one\nline two"));
    exit 1;
}
my $version = $hello->[5] eq 'future.py' ? 2 : 1;
write_frame('ready', int_($version), str('perl'), int_($$), bin($json->encode(\@skills)), bool(0));
STDOUT->autoflush(1);
print "perl is ready for $hello->[2]\n";
while (1) {
    my ($tag, $run, @rest) = @{ read_frame() };
    if ($tag eq 'start') {
        my ($run_id, $task_id, $context_id, $skill, $arguments, $message, $timeout, $attempt, $files) = @rest;
        $run{$run} = { n => 0, out => 0, queue => [] };
        $do{$skill}->($run, $json->decode($arguments || '{}'), $files);
    } elsif ($tag eq 'answer') {
        my ($n, $value, $trouble, $go) = @rest;
        my $then = delete $run{$run}{waiting}{$n} or next;
        if ($trouble) { result($run, 'failed', undef, @{$trouble}[0, 1]) }
        else { $then->($json->decode($value), $go) }
    } elsif ($tag eq 'data') {
        my $then = delete $run{$run}{data}{ $rest[0] } or next;
        $then->($rest[1]);
    } elsif ($tag eq 'ack') {
        if (my $state = $run{$run}) { $state->{out} -= $rest[0]; pump($run) }
    } elsif ($tag eq 'cancel') {
        result($run, 'canceled', undef) if $run{$run};
    } elsif ($tag eq 'stop') {
        $stopping = 1;
    }
    exit 0 if $stopping && !%run;
}
