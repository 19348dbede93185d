{ What a contestant may hand in, in Pascal: the first argument says what it does. }
program submission;
{$mode objfpc}
uses cthreads, baseunix, unix, sockets, sysutils, classes;

type
  TRest = class(TThread)
    procedure Execute; override;
  end;

var
  what: string;
  wrong, total, number: int64;
  n: integer;
  child: TPid;
  kept: array of array of byte;
  block: array[0..1048575] of byte;
  filler: file;

procedure TRest.Execute;
begin
  sleep(60000);
end;

function reaches(address: string): boolean;
var
  target: TInetSockAddr;
  fd: longint;
begin
  target.sin_family := AF_INET;
  target.sin_port := htons(22);
  target.sin_addr := StrToNetAddr(address);
  fd := fpSocket(AF_INET, SOCK_STREAM or $800, 0);
  reaches := (fd >= 0) and (fpConnect(fd, @target, sizeof(target)) = 0);
end;

function reads(path: string): boolean;
var
  fd: longint;
  one: byte;
begin
  fd := fpOpen(path, O_RDONLY);
  reads := (fd >= 0) and (fpRead(fd, one, 1) = 1);
end;

begin
  what := paramstr(1);
  wrong := ord(what = 'wrong');
  while what = 'slow' do wrong := wrong + 1;
  while what = 'memory' do
  begin
    setlength(kept, length(kept) + 1);
    setlength(kept[high(kept)], 1048576);
    fillchar(kept[high(kept)][0], 1048576, 1);
  end;
  if what = 'fork' then
    for n := 1 to 200 do
    begin
      child := fpFork;
      if child = 0 then sleep(60000);
      if child < 0 then halt(1);
    end;
  if what = 'disk' then
  begin
    assign(filler, 'filler');
    rewrite(filler, 1);
    for n := 1 to 1024 do blockwrite(filler, block, sizeof(block));
  end;
  if what = 'signals' then
  begin
    for n := 1 to 64 do fpSignal(n, SignalHandler(SIG_IGN));
    sleep(60000);
  end;
  if what = 'network' then wrong := ord(reaches('127.0.0.1') or reaches('10.0.0.1'));
  if what = 'snoop' then
    wrong := ord(reads('/etc/shadow') or reads('/proc/1/environ') or reads('../answer') or reads('/box/../answer'));
  if (what = 'plant') and ((fpSymlink('/etc/passwd', 'link') <> 0) or (fpMkfifo('pipe', &666) <> 0)) then halt(1);
  if what = 'clock' then
    for n := 1 to 6000 do sleep(10);
  if what = 'threads' then
    for n := 1 to 500 do TRest.create(false);
  while what = 'flood' do writeln('flood');
  if what = 'stop' then fpKill(fpGetpid, SIGSTOP);
  if what = 'group' then fpKill(0, SIGKILL);
  total := 0;
  while not seekeof do
  begin
    read(number);
    total := total + number;
  end;
  writeln(total + wrong);
end.
