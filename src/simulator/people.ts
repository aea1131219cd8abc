import type { Entry } from '../dict/entry/entry.ts';
import { completeCnpj, completeCpf } from '../dict/entry/tax-id.ts';
import type { Random } from './random.ts';

const FIRST_NAMES =
  'Ana Antônio Beatriz Bruno Caio Camila Carlos Cecília Cláudia Daniel Débora Eduardo Fábio Fernanda Flávia Gabriel Gonçalo Helena Heloísa Iara Inês Isabel João José Júlia Júlio Laís Larissa Letícia Lúcia Luís Márcia Márcio Maria Mônica Natália Otávio Patrícia Paulo Pedro Rafael Rodrigo Rogério Sebastião Sílvia Simão Sônia Tânia Teresa Thaís Vânia Vinícius Vitória'.split(
    ' ',
  );
const LAST_NAMES =
  "Almeida Alves Araújo Barbosa Barros Batista Brandão Campos Cardoso Carvalho Conceição Costa D'Ávila Dias Falcão Fernandes Ferreira Galvão Gomes Gonçalves Guimarães Lima Lopes Magalhães Marques Martins Melo Mendonça Moraes Moreira Nascimento Nogueira Oliveira Paixão Pereira Ribeiro Rocha Rodrigues Santos Silva Simões Soares Souza Teixeira Valença Vasconcelos Vieira".split(
    ' ',
  );
const TRADES =
  'Açougue|Armazém|Auto Peças|Café|Confecções|Construções|Drogaria|Gráfica|Livraria|Mecânica|Mercearia|Óptica|Padaria|Papelaria|Pousada|Restaurante|Serviços Médicos|Transportes'.split(
    '|',
  );
const LEGAL_FORMS = ['Ltda', 'S.A.', 'ME', 'EPP', 'EIRELI'];
const ACCOUNT_TYPES = ['CACC', 'CACC', 'CACC', 'CACC', 'TRAN', 'TRAN', 'SVGS', 'SLRY'];
const NO_BRANCH = 0.1;
const TRADE_NAME = 0.8;

/** Name and tax id of an entry. */
export type Owner = Pick<Entry, 'ownerType' | 'taxIdNumber' | 'name' | 'tradeName'>;
/** The account of an entry, without its participant. */
export type Account = Pick<Entry, 'branch' | 'accountNumber' | 'accountType' | 'openingDate'>;

/** A CPF with correct check digits, from a number below 10^9. */
export function cpfOf(number: number): string {
  return completeCpf(padded(number, 9));
}

/**
 * The CNPJ of a head office (branch 0001) with correct check digits, from a number below 10^8. One in ten begins with a
 * letter, as CNPJs may since July 2026.
 */
export function cnpjOf(number: number): string {
  const [first = '', ...rest] = padded(number, 8);
  const begin = number % 10 === 0 ? String.fromCharCode(65 + Number(first)) : first;
  return completeCnpj(`${begin}${rest.join('')}0001`);
}

export function naturalPerson(random: Random, taxIdNumber = cpfOf(random.below(1e9))): Owner {
  return { ownerType: 'NATURAL_PERSON', taxIdNumber, name: personName(random), tradeName: null };
}

export function legalPerson(random: Random, taxIdNumber = cnpjOf(random.below(1e8))): Owner {
  const name = companyName(random);
  const tradeName = random.chance(TRADE_NAME) ? `${random.pick(TRADES)} ${random.pick(LAST_NAMES)}` : null;
  return { ownerType: 'LEGAL_PERSON', taxIdNumber, name, tradeName };
}

export function personName(random: Random): string {
  const last = `${random.pick(LAST_NAMES)} ${random.pick(LAST_NAMES)}`;
  return random.chance(0.2)
    ? `${random.pick(FIRST_NAMES)} ${random.pick(FIRST_NAMES)} dos ${last}`
    : `${random.pick(FIRST_NAMES)} ${last}`;
}

export function companyName(random: Random): string {
  return `${random.pick(TRADES)} ${random.pick(LAST_NAMES)} & ${random.pick(LAST_NAMES)} ${random.pick(LEGAL_FORMS)}`;
}

/** A random account. Branch and number have leading zeros, like real ones. One in ten has no branch. */
export function account(random: Random): Account {
  const digits = 6 + random.below(7);
  const year = 2005 + random.below(20);
  const month = padded(1 + random.below(12), 2);
  return {
    branch: random.chance(NO_BRANCH) ? null : padded(1 + random.below(random.chance(0.5) ? 99 : 9999), 4),
    accountNumber: padded(1 + random.below(10 ** Math.min(digits - 1, 9)), digits),
    accountType: random.pick(ACCOUNT_TYPES),
    // Midnight in Brasília, which BACEN uses when the hour is not known.
    openingDate: `${year}-${month}-${padded(1 + random.below(28), 2)}T03:00:00.000Z`,
  };
}

/** A name as used in an e-mail address: "João dos Santos" gives "joao.dos.santos". */
export function mailbox(name: string): string {
  return name
    .normalize('NFD')
    .toLowerCase()
    .replace(/[^a-z ]/g, '')
    .replaceAll(' ', '.');
}

export function padded(number: number, digits: number): string {
  return String(number).padStart(digits, '0');
}
