# What the tests expect in a fresh Request Tracker: queues, custom fields, the connector's users with their tokens, tickets
# as staff leave them. Tickets get the numbers 1 to 6 in this order.
use strict; use warnings; use utf8;
use lib '/usr/share/request-tracker5/lib';
use RT -init;
use RT::User; use RT::Queue; use RT::AuthToken; use RT::CustomField; use RT::Ticket; use MIME::Entity; use Encode;

my $system = RT->SystemUser;
my $home = $ENV{RT_SEED_HOME} or die 'RT_SEED_HOME';

sub made { my ($what, $id, @said) = @_; die "$what: @said\n" unless $id; return $id }

my %queue;
for my $name ('Support', 'Werkstatt', 'Internal') {
    my $queue = $queue{$name} = RT::Queue->new($system);
    made($name, $queue->Create(Name => $name, CorrespondAddress => lc($name) . '@example.test'));
}
for my $name ('Order number', 'Phone') {
    my $field = RT::CustomField->new($system);
    made($name, $field->Create(Name => $name, Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket'));
    $field->AddToObject($queue{$_}) for 'Support', 'Werkstatt';
}

# The connector's user; one who may create users as well; one who may only look.
my @rights = qw(SeeQueue ShowTicket SeeCustomField);
my @writes = qw(CreateTicket ReplyToTicket ModifyTicket ModifyCustomField);
my %users = (chatbot => [@rights, @writes], chatadmin => [@rights, @writes], chatlooks => [@rights]);
for my $name (sort keys %users) {
    my $user = RT::User->new($system);
    made($name, $user->Create(Name => $name, EmailAddress => "$name\@example.test", Password => 'connector-pass-1', Privileged => 1));
    for my $right (@{ $users{$name} }) {
        for my $of ('Support', 'Werkstatt') {
            my ($ok, $said) = $user->PrincipalObj->GrantRight(Right => $right, Object => $queue{$of});
            die "$right: $said\n" unless $ok;
        }
    }
    $user->PrincipalObj->GrantRight(Right => 'ManageAuthTokens', Object => $RT::System);
    $user->PrincipalObj->GrantRight(Right => 'AdminUsers', Object => $RT::System) if $name eq 'chatadmin';
    my $token = RT::AuthToken->new($system);
    my ($id, $said, $secret) = $token->Create(Owner => $user->Id, Description => 'tests');
    die "token: $said\n" unless $id;
    open my $file, '>', "$home/$name.token" or die $!;
    print $file $secret;
    close $file;
}

my $mina = RT::User->new($system);
made('mina', $mina->Create(Name => 'mina', EmailAddress => 'mina@example.test', RealName => 'Mina Öz',
    MobilePhone => '+43 (0)660 / 555 01 77', Organization => 'Öz & Töchter', Privileged => 0));

sub ticket {
    my $ticket = RT::Ticket->new($system);
    my ($id, undef, $said) = $ticket->Create(@_);
    die "ticket: $said\n" unless $id;
    return $ticket;
}
sub words { my %of = @_; MIME::Entity->build(Charset => 'UTF-8', Type => 'text/plain', %of, Data => Encode::encode('UTF-8', $of{Data})) }

# 1: of Erika, about an order.
my $order = RT::CustomField->new($system);
$order->LoadByName(Name => 'Order number');
ticket(Queue => 'Support', Subject => 'Machine leaks', Requestor => 'erika@example.test',
    'CustomField-' . $order->Id => 'WEB-42', MIMEObj => words(Data => "It leaks.\n"));
# 2: of Mina, in a queue that is none of the connector's business.
ticket(Queue => 'Internal', Subject => 'About Mina', Requestor => 'mina@example.test', MIMEObj => words(Data => 'secret'));
# 3: of Mina, answered in each way that RT knows, and talked about behind her back.
my $third = ticket(Queue => 'Support', Subject => 'Dampflanze tropft', Requestor => 'mina@example.test',
    MIMEObj => words(Data => "Erste Frage ü ☕\n"));
$third->Comment(MIMEObj => words(Data => 'internal: complains each week'));
my $mixed = MIME::Entity->build(Type => 'multipart/mixed');
$mixed->attach(Type => 'text/plain', Charset => 'UTF-8', Data => Encode::encode('UTF-8', 'Antwort für dich'));
$mixed->attach(Type => 'text/plain', Filename => 'log.txt', Data => 'a log file');
$mixed->attach(Type => 'application/pdf', Filename => 'scan.pdf', Data => "\xff\xfe\x00" x 1_000_000);
$third->Correspond(MIMEObj => $mixed);
$third->Correspond(MIMEObj => words(Type => 'text/html', Data => '<p>Hello <b>Mina</b> &amp; co</p><p>bye</p>'));
# 4: of Erika, merged into Mina's.
my $fourth = ticket(Queue => 'Support', Subject => 'Same again', Requestor => 'erika@example.test', MIMEObj => words(Data => 'Me too'));
my ($merged, $why) = $fourth->MergeInto($third->Id);
die "merge: $why\n" unless $merged;
# 5: deleted.
my $fifth = ticket(Queue => 'Support', Subject => 'Gone', Requestor => 'mina@example.test', MIMEObj => words(Data => 'spam'));
$fifth->SetStatus('deleted');
# 6: long, with notes between, so that pages are not full of what may be seen.
my $sixth = ticket(Queue => 'Werkstatt', Subject => 'Long story', Requestor => 'mina@example.test', MIMEObj => words(Data => 'word 0'));
for my $n (1 .. 110) {
    $sixth->Correspond(MIMEObj => words(Data => "word $n"));
    $sixth->Comment(MIMEObj => words(Data => "note $n")) if $n % 10 == 0;
}
